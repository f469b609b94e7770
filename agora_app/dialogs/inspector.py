"""The fitted head as a mesh that can be turned, with the landmarks on it: the only module that imports vispy."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QStackedLayout, QVBoxLayout, QWidget

from agora_app.theme import current_colors, set_role, theme
from core.geometry import rotation_from_axis_angle
from core.head.embedding import SKIN_LANDMARKS, load_landmark_embedding
from core.head.library import load_open_head
from core.head.picture import paint_for_landmarker
from core.pipeline.live.state import LivePicture
from core.types import FloatArray, HeadParams, Landmarks, TrackState

log = logging.getLogger(__name__)
SECONDS_BETWEEN = 0.1
_DISTANCE, _FIELD_OF_VIEW = 0.95, 22.0
_FROM_FRONT = 90.0  # degrees of vispy's azimuth, with y up
_CENTRE = (0.0, -0.02, -0.05)
_DOT = 4.0


@dataclass(frozen=True)
class Fit:
    """What the window shows of one moment.

    Attributes:
        vertices: [V, 3] of the posed head, viewer's orientation, metres.
        fitted: [468, 3] the landmarks' places on it.
        seen: [468, 3] the landmarks found in the frame, laid over the head as well as a similarity can; None without any.
    """

    vertices: FloatArray
    fitted: FloatArray
    seen: FloatArray | None


class FitMaker:
    """Poses the open head as the tracker has found it."""

    def __init__(self) -> None:
        self.head = load_open_head()
        self._embedding = load_landmark_embedding(self.head)

    def __call__(self, params: HeadParams, landmarks: Landmarks | None = None) -> Fit:
        """The head of one moment. Coefficients of another head model are left out."""
        expression = params.expression if len(params.expression) == self.head.expression_count else None
        shape = params.shape if len(params.shape) <= self.head.shape_count else np.zeros(0, np.float32)
        resting = self.head.vertices(shape, expression, params.joint_pose())
        vertices = resting @ rotation_from_axis_angle(params.head_rotation).T
        fitted = self._embedding.points(vertices)
        seen = None if landmarks is None else laid_over(upright(landmarks), fitted)
        return Fit(vertices.astype(np.float32), fitted, seen)


def upright(landmarks: Landmarks) -> FloatArray:
    """The skin's landmarks [468, 3] in the viewer's orientation: y up, z toward the camera; still in pixels."""
    return landmarks.points[:SKIN_LANDMARKS] * np.array([1, -1, -1], np.float32)


def laid_over(points: FloatArray, target: FloatArray) -> FloatArray:
    """`points` [N, 3] moved, turned and scaled so that they lie as near to `target` [N, 3] as can be (least squares)."""
    here, there = points - points.mean(0), target - target.mean(0)
    u, stretch, vt = np.linalg.svd(there.T @ here)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u * signs @ vt
    scale = float((stretch * signs).sum() / max((here**2).sum(), 1e-12))
    return (scale * here @ rotation.T + target.mean(0)).astype(np.float32)


class Inspector(QWidget):
    """A window of its own. `show_picture` may be called for every picture; ten a second are drawn, none while it is hidden."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle(self.tr("Mesh inspector"))
        self.resize(560, 640)
        self._last = -SECONDS_BETWEEN
        self._make: FitMaker | None = None
        self.scene: _Scene | None = None
        self.state = QLabel(self.tr("Waiting for a picture…"))
        set_role(self.state, "muted")
        self.landmarks = QCheckBox(self.tr("Landmarks"))
        self.landmarks.setChecked(True)
        self.landmarks.setToolTip(self.tr("Dots where the landmarks were found, or lie on the head when there are none"))
        self.edges = QCheckBox(self.tr("Edges"))
        self.edges.setToolTip(self.tr("The mesh's triangles"))
        self.front = QPushButton(self.tr("From the front"))
        self.front.setToolTip(self.tr("Look straight at the face again. Drag turns, the wheel zooms"))
        row = QHBoxLayout()
        row.setContentsMargins(12, 8, 12, 8)
        row.setSpacing(12)
        row.addWidget(self.state, 1)
        for widget in (self.landmarks, self.edges, self.front):
            row.addWidget(widget)
        self._stack = QStackedLayout()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._stack, 1)
        column.addLayout(row)
        self.landmarks.toggled.connect(lambda on: self.scene and self.scene.show_landmarks(on))
        self.edges.toggled.connect(lambda on: self.scene and self.scene.show_edges(on))
        self.front.clicked.connect(lambda: self.scene and self.scene.look_from_front())
        theme().changed.connect(self._on_theme)

    @property
    def has_canvas(self) -> bool:
        """Whether there is a mesh to be seen; otherwise a card says why not."""
        return self.scene is not None

    def showEvent(self, event) -> None:
        if self._make is None:
            self._make = FitMaker()
            self._open_scene()
        super().showEvent(event)

    def closeEvent(self, event) -> None:
        self._last = -SECONDS_BETWEEN
        super().closeEvent(event)

    def show_picture(self, picture: LivePicture) -> None:
        """Show how the head was fitted for this picture."""
        now = time.monotonic()
        if not self.isVisible() or self.scene is None or now - self._last < SECONDS_BETWEEN:
            return
        self._last = now
        params = picture.params
        self.scene.show_fit(self._make(params, picture.landmarks))
        self.state.setText(self._words(params, picture.landmarks is not None))

    def _words(self, params: HeadParams, has_landmarks: bool) -> str:
        words = {TrackState.TRACKED: self.tr("tracked"), TrackState.HELD: self.tr("held"),
                 TrackState.EASING: self.tr("easing to rest"), TrackState.LOST: self.tr("no face")}[params.state]
        if has_landmarks and params.residual > 0:
            return self.tr("{0} · fit error {1:.1f} % of the eyes' distance").format(words, 100 * params.residual)
        return self.tr("{0} · recorded motion").format(words) if not has_landmarks else words

    def _open_scene(self) -> None:
        problem = why_no_opengl()
        if not problem:
            try:
                self.scene = _Scene(self._make.head.faces, paint_for_landmarker(self._make.head))
            except Exception as error:  # a graphics driver's own failure, whatever it is called
                log.warning("the inspector has no canvas", exc_info=error)
                problem = f"{type(error).__name__}: {error}"
        if self.scene is None:
            words = self.tr("The mesh cannot be shown here.\n\n{0}\n\nEverything else works without it.")
            self.card = QLabel(words.format(problem))
            self.card.setAlignment(Qt.AlignmentFlag.AlignCenter)
            self.card.setWordWrap(True)
            self.card.setMargin(24)
            self._stack.addWidget(self.card)
            self.state.setText("")
        else:
            self.scene.widget.setAccessibleName(self.tr("Fitted head"))
            self._stack.addWidget(self.scene.widget)
            self._on_theme()
            self.scene.show_fit(self._make(HeadParams.neutral(self._make.head.expression_count)))
        for widget in (self.landmarks, self.edges, self.front):
            widget.setEnabled(self.scene is not None)

    def _on_theme(self) -> None:
        if self.scene is not None:
            self.scene.set_background(current_colors().base.getRgbF()[:3])


def why_no_opengl() -> str:
    """Why no OpenGL can be had here, in words; empty when it can."""
    if QGuiApplication.platformName() in ("offscreen", "minimal", "vnc", "linuxfb"):
        return "There is no screen with OpenGL."
    context = QOpenGLContext()
    surface = QOffscreenSurface()
    surface.create()
    if not context.create() or not context.makeCurrent(surface):
        return "No OpenGL context can be made; the graphics driver may be missing."
    context.doneCurrent()
    return ""


class _Scene:
    """The canvas: a shaded mesh, its edges, and dots."""

    def __init__(self, faces: np.ndarray, colours: FloatArray) -> None:
        from vispy import app, scene
        from vispy.scene import visuals
        from vispy.visuals.filters import ShadingFilter, WireframeFilter

        app.use_app("pyside6")
        self.canvas = scene.SceneCanvas(keys=None, show=False, size=(540, 580))
        self.widget = self.canvas.native
        view = self.canvas.central_widget.add_view()
        view.camera = self._camera = scene.cameras.TurntableCamera(fov=_FIELD_OF_VIEW, distance=_DISTANCE, up="+y", elevation=0,
                                                                   azimuth=_FROM_FRONT, center=_CENTRE)
        self._faces = faces.astype(np.uint32)
        self._colours = np.concatenate([colours, np.ones((len(colours), 1))], 1).astype(np.float32)
        self._mesh = visuals.Mesh(vertices=np.zeros((len(colours), 3), np.float32), faces=self._faces,
                                  vertex_colors=self._colours, parent=view.scene)
        self._shading = ShadingFilter(shading="smooth", ambient_light=(1, 1, 1, 0.35), diffuse_light=(1, 1, 1, 0.75),
                                      specular_light=(1, 1, 1, 0.08), shininess=20, light_dir=(-0.4, -0.5, -1.0))
        self._edges = WireframeFilter(width=0.6, color=(0, 0, 0, 0.5))
        self._edges.enabled = False
        self._mesh.attach(self._shading)
        self._mesh.attach(self._edges)
        self._dots = visuals.Markers(parent=view.scene)
        self._dots.set_gl_state("translucent", depth_test=False)
        self._dots.order = 1

    def show_fit(self, fit: Fit) -> None:
        """Show another moment."""
        self._mesh.set_data(vertices=fit.vertices, faces=self._faces, vertex_colors=self._colours)
        facing = fit.fitted if fit.seen is None else fit.seen
        colour = (0.43, 0.66, 1.0, 0.9) if fit.seen is None else (1.0, 0.76, 0.2, 0.95)
        self._dots.set_data(facing, size=_DOT, face_color=colour, edge_width=0)
        self.canvas.update()

    def show_landmarks(self, on: bool) -> None:
        """Show the dots."""
        self._dots.visible = on
        self.canvas.update()

    def show_edges(self, on: bool) -> None:
        """Show the triangles."""
        self._edges.enabled = on
        self.canvas.update()

    def look_from_front(self) -> None:
        """Put the camera where it was."""
        self._camera.azimuth, self._camera.elevation = _FROM_FRONT, 0
        self._camera.distance, self._camera.center = _DISTANCE, _CENTRE

    def set_background(self, colour: tuple[float, float, float]) -> None:
        """The colour behind the head, 0..1."""
        self.canvas.bgcolor = colour
