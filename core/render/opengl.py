"""The OpenGL renderer: plain calls of OpenGL 3.3 core (macOS's 4.1 has all of it) on a context that the caller made current.

A first pass works out the ellipse of every Gaussian, once instead of at each corner. Then comes a quad of two triangles for each,
front to back, blended with (1 − α of the target, 1) into a half-float target; a last pass adds the background. Instances of a
quad would need fewer vertices, but devices handle so small ones one by one, and slowly. The vertices have no attributes: a
Gaussian's numbers come from float textures, the depth order from an integer texture. The texture of the cloud may be filled
here, from one in memory, or on the device (`core.avatar.gl_blend`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError, InputError
from core.render.egl import OffscreenContext
from core.render.gl import GL, R32UI, RGBA8, RGBA16F, RGBA32F, CoverPass, Program, Target, Texture, check_errors, current_device
from core.render.reference import ALPHA_MIN, NEAR_PLANE
from core.render.renderer import Background, RenderStats, StageClock
from core.types import Camera, FloatArray, Gaussians

WIDTH = 1024  # Gaussians in a row of a texture
LAYERS = 4  # of the attribute texture: xyz opacity · scale - · quaternion · rgb -
_LEVELS = np.float32(65535)
_LONGEST_RANGE = 1.0  # metres; a step of 16 bits is then 15 micrometres


class OpenGLRenderer:
    """`Renderer` for the current context. Every call needs the same context to be current.

    Args:
        half_floats: add the layers up in half floats, which stays within 52 dB of the reference; bytes stay within 45.

    Attributes:
        device: what draws;  description: its name;  is_software: whether it is the processor itself.
        alpha_min: contributions to a pixel below it are skipped.

    Raises:
        DeviceError: the context is older than 3.3, or a shader does not compile.
    """

    name = "opengl"

    def __init__(self, half_floats: bool = True) -> None:
        self.stats = RenderStats()
        self.alpha_min = ALPHA_MIN
        self.device = current_device()
        self.description, self.is_software = self.device.name, self.device.is_software
        self._project = CoverPass("core.render/project.frag")
        self._splat_program = Program("core.render/splat.vert", "core.render/splat.frag")
        self._resolve = CoverPass("core.render/resolve.frag")
        self._vertex_array = int(GL.glGenVertexArrays(1))
        self._attributes, self._order = Texture(RGBA32F, layered=True), Texture(R32UI)
        self._attribute_data = np.zeros((LAYERS, 0, WIDTH, 4), np.float32)
        self._order_data = np.zeros((0, WIDTH), np.uint32)
        self._accumulation, self._finished = Texture(RGBA16F if half_floats else RGBA8), Texture(RGBA8)
        self._targets: tuple[Target, ...] = ()
        self._ellipses = Texture(RGBA32F), Texture(RGBA32F)  # as project.frag names them
        self._ellipse_target: Target | None = None

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a picture, as `Renderer.render` says, and read it back."""
        clock = StageClock()
        attributes = self._upload(gaussians)
        upload_ms = clock.lap()
        depth = gaussians.xyz @ camera.world_to_camera[2, :3] + camera.world_to_camera[2, 3]
        picture = self.draw(attributes, depth, camera, background)
        self.stats = RenderStats(upload_ms, self.stats.sort_ms, self.stats.blend_ms, len(gaussians))
        return picture

    def draw(self, attributes: Texture, depth: FloatArray, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a cloud that lies in a texture.

        Args:
            attributes: RGBA32F of `LAYERS` layers with `WIDTH` Gaussians in a row.
            depth: [N] of the Gaussians along the optical axis.

        Raises:
            InputError: the picture has no pixels or more than the device takes.
            DeviceError: the device fails.
        """
        clock = StageClock()
        self._resize(camera.width, camera.height)
        rows = -(-len(depth) // WIDTH)
        if rows != len(self._order_data):
            self._order_data = np.zeros((rows, WIDTH), np.uint32)
        self._order_data.reshape(-1)[:len(depth)] = depth_order(depth)
        sort_ms = clock.lap()
        if rows:
            self._order.send(self._order_data)
        self._accumulate(attributes, len(depth), camera)
        self._resolve.program.use(accumulation=self._accumulation)
        self._resolve.program.set(background=background or (0.0, 0.0, 0.0))
        finished = self._targets[1]
        self._resolve.run(finished)
        picture = np.empty((camera.height, camera.width, 4), np.uint8)
        finished.read(0, RGBA8, picture)
        check_errors("drawing a picture")
        self.stats = RenderStats(0.0, sort_ms, clock.lap(), len(depth))
        return picture

    def _upload(self, gaussians: Gaussians) -> Texture:
        """Send the cloud to the device."""
        count = len(gaussians)
        rows = max(1, -(-count // WIDTH))
        if rows != self._attribute_data.shape[1]:
            self._attribute_data = np.zeros((LAYERS, rows, WIDTH, 4), np.float32)
        texels = self._attribute_data.reshape(LAYERS, -1, 4)[:, :count]
        texels[0, :, :3], texels[0, :, 3] = gaussians.xyz, gaussians.opacity
        texels[1, :, :3], texels[2], texels[3, :, :3] = gaussians.scale, gaussians.quat, gaussians.rgb
        self._attributes.send(self._attribute_data)
        return self._attributes

    def _resize(self, width: int, height: int) -> None:
        """Give the targets the picture's size."""
        limit = self.device.largest_side
        if not (0 < width <= limit and 0 < height <= limit):
            raise InputError(f"a picture of {width}×{height} pixels cannot be drawn",
                             f"sides of 1 to {limit} pixels are possible")
        if self._targets and self._finished.shape == (height, width):
            return
        self._delete_targets()
        self._accumulation.allocate(height, width)
        self._finished.allocate(height, width)
        self._targets = Target((self._accumulation, None)), Target((self._finished, None))

    def _work_out_ellipses(self, attributes: Texture, camera: Camera) -> None:
        """Run the first pass."""
        shape = attributes.shape[1:]
        if self._ellipse_target is None or self._ellipses[0].shape != shape:
            if self._ellipse_target is not None:
                self._ellipse_target.delete()
            for texture in self._ellipses:
                texture.allocate(*shape)
            self._ellipse_target = Target(*((texture, None) for texture in self._ellipses))
        program = self._project.program
        program.use(attributes=attributes)
        program.set(world_to_camera=camera.world_to_camera, intrinsics=(camera.fx, camera.fy, camera.cx, camera.cy),
                    picture_size=(camera.width, camera.height), alpha_min=float(self.alpha_min))
        self._project.run(self._ellipse_target)

    def _accumulate(self, attributes: Texture, count: int, camera: Camera) -> None:
        """Blend the quads."""
        if count:
            self._work_out_ellipses(attributes, camera)
        self._targets[0].bind()
        for feature in (GL.GL_DEPTH_TEST, GL.GL_CULL_FACE, GL.GL_SCISSOR_TEST):
            GL.glDisable(feature)
        GL.glClearColor(0, 0, 0, 0)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT)
        if count == 0:
            return
        GL.glEnable(GL.GL_BLEND)
        GL.glBlendFunc(GL.GL_ONE_MINUS_DST_ALPHA, GL.GL_ONE)
        GL.glBindVertexArray(self._vertex_array)
        program = self._splat_program
        center_major, minor_opacity = self._ellipses
        program.use(center_major=center_major, minor_opacity=minor_opacity, attributes=attributes, order=self._order)
        program.set(picture_size=(camera.width, camera.height), alpha_min=float(self.alpha_min))
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, 6 * count)
        GL.glDisable(GL.GL_BLEND)

    def warm_up(self) -> None:
        """Nothing to do: the driver compiled the shaders when the renderer was made."""

    def close(self) -> None:
        """Delete what was made in the context."""
        self._delete_targets()
        if self._ellipse_target is not None:
            self._ellipse_target.delete()
        for texture in (self._attributes, self._order, self._accumulation, self._finished, *self._ellipses):
            texture.delete()
        self._project.delete()
        self._splat_program.delete()
        self._resolve.delete()
        GL.glDeleteVertexArrays(1, [self._vertex_array])

    def _delete_targets(self) -> None:
        for target in self._targets:
            target.delete()
        self._targets = ()


class OffscreenOpenGLRenderer(OpenGLRenderer):
    """`OpenGLRenderer` with a context of its own and no window. It belongs to the thread that made it."""

    def __init__(self, half_floats: bool = True) -> None:
        self._context = OffscreenContext()
        try:
            super().__init__(half_floats)
        except DeviceError:
            self._context.close()
            raise

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        self._context.make_current()
        return super().render(gaussians, camera, background)

    def close(self) -> None:
        self._context.make_current()
        super().close()
        self._context.close()


def depth_order(depth: FloatArray) -> NDArray[np.int64]:
    """Numbers of the Gaussians [N] from the nearest on.

    NumPy sorts 16-bit numbers in one pass over them. A head's depths then differ by 5 micrometres a step, which no 8-bit
    picture shows; a cloud that reaches far is sorted in full.
    """
    if len(depth) == 0:
        return np.zeros(0, np.int64)
    near, far = max(depth.min(), np.float32(NEAR_PLANE)), depth.max()
    if not 0 < far - near <= _LONGEST_RANGE:
        return np.argsort(depth, kind="stable")
    return np.argsort((np.maximum(depth - near, 0) * (_LEVELS / (far - near))).astype(np.uint16), kind="stable")
