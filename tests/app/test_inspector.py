"""The mesh inspector: the fit by closed form, a card where there is no OpenGL, and a real canvas on a virtual screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import Qt

from agora_app.dialogs.inspector import FitMaker, Inspector, laid_over, upright
from core.geometry import rotation_from_axis_angle
from core.head.library import load_open_head
from core.types import HeadParams, Landmarks, TrackState

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def make_fit():
    return FitMaker()


def test_the_head_turns_as_the_parameters_say(make_fit):
    neutral = HeadParams.neutral(make_fit.head.expression_count)
    turn = np.array([0.1, -0.4, 0.2], np.float32)
    straight, turned = make_fit(neutral), make_fit(replace(neutral, head_rotation=turn))
    np.testing.assert_allclose(turned.vertices, straight.vertices @ rotation_from_axis_angle(turn).T, atol=1e-6)
    np.testing.assert_allclose(straight.vertices, load_open_head().v_template, atol=1e-6)
    assert straight.fitted.shape == (468, 3)
    assert straight.seen is None


def test_landmarks_are_laid_over_the_head(make_fit, generator):
    fit = make_fit(HeadParams.neutral(make_fit.head.expression_count))
    turn = rotation_from_axis_angle(np.array([0.2, 0.5, -0.1]))
    moved = 2300 * fit.fitted @ turn.T + np.array([640, -360, 50])
    points = np.zeros((478, 3), np.float32)
    points[:468] = moved * np.array([1, -1, -1])  # the camera's picture: y down, smaller z nearer
    landmarks = Landmarks(points, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 1280, 720, 0)
    np.testing.assert_allclose(upright(landmarks), moved, atol=1e-2)
    seen = make_fit(HeadParams.neutral(make_fit.head.expression_count), landmarks).seen
    np.testing.assert_allclose(seen, fit.fitted, atol=1e-5)


def test_laying_over_never_mirrors(generator):
    target = generator.normal(size=(40, 3))
    mirrored = target * np.array([-1, 1, 1])
    assert np.abs(laid_over(mirrored, target) - target).max() > 0.1


def test_motion_of_another_head_is_shown_at_rest(make_fit):
    fit = make_fit(HeadParams.neutral(3))
    np.testing.assert_allclose(fit.vertices, load_open_head().v_template, atol=1e-6)


def test_without_opengl_a_card_says_so(qtbot):
    inspector = Inspector()
    qtbot.addWidget(inspector)
    inspector.show()
    assert not inspector.has_canvas
    assert "cannot be shown here" in inspector.card.text()
    assert inspector.card.isVisible()
    assert not inspector.front.isEnabled()
    inspector.show_picture(SimpleNamespace(params=HeadParams.neutral(49), landmarks=None))
    inspector.close()
    inspector.show()  # and again
    inspector.close()


def test_words_about_the_fit(qtbot):
    inspector = Inspector()
    qtbot.addWidget(inspector)
    params = replace(HeadParams.neutral(49), residual=0.0123)
    assert inspector._words(params, True) == "tracked · fit error 1.2 % of the eyes' distance"
    assert inspector._words(replace(params, state=TrackState.LOST), False).startswith("no face")


def test_importing_it_does_not_load_vispy():
    code = "import sys, agora_app.dialogs.inspector; assert 'vispy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_ON_SCREEN = """
import sys, time
from types import SimpleNamespace
from dataclasses import replace
import numpy as np
from PySide6.QtWidgets import QApplication
from agora_app.theme import apply_theme
from agora_app.dialogs import inspector as module
from core.types import HeadParams
app = QApplication([])
apply_theme(app, "dark")
def pump(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.005)
window = module.Inspector()
window.show()
pump(0.5)
if not window.has_canvas:
    print("no canvas:", window.card.text())
    sys.exit(3)
made = []
window._make = lambda *a, make=window._make: made.append(1) or make(*a)
def look(yaw):
    window._last = -1.0
    window.show_picture(SimpleNamespace(params=replace(HeadParams.neutral(49), head_rotation=np.array([0, yaw, 0], np.float32)),
                                        landmarks=None))
    pump(0.4)
    image = window.scene.canvas.render()
    return image[..., :3].astype(int)
left, right = look(0.6), look(-0.6)
skin = (left.max(2) > 120)
assert skin.mean() > 0.1, skin.mean()
mirrored = np.abs(left - right[:, ::-1]).mean()
assert mirrored < 0.5 * np.abs(left - right).mean() , (mirrored, np.abs(left - right).mean())
count = len(made)
picture = SimpleNamespace(params=HeadParams.neutral(49), landmarks=None)
window._last = time.monotonic()
for _ in range(200):
    window.show_picture(picture)
assert len(made) - count <= 1, len(made)
window.landmarks.setChecked(False)
without = look(0.0)
window.edges.setChecked(True)
pump(0.2)
assert np.abs(window.scene.canvas.render()[..., :3].astype(int) - without).mean() > 0.5
window.hide()
count = len(made)
window._last = -1.0
window.show_picture(picture)
assert len(made) == count
window.close()
print("fine")
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("xvfb-run"), reason="needs a virtual screen")
def test_on_a_screen_the_mesh_is_drawn(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QT_")} | {"QT_QPA_PLATFORM": "xcb"}
    done = subprocess.run(["xvfb-run", "-a", "-s", "-screen 0 1024x800x24", sys.executable, "-c", _ON_SCREEN], cwd=ROOT,
                          env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 3:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fine" in done.stdout


def test_the_window_can_be_left_by_key(qtbot):
    inspector = Inspector()
    qtbot.addWidget(inspector)
    inspector.show()
    for widget in (inspector.landmarks, inspector.edges, inspector.front):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert widget.toolTip()
