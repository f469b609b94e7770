"""The OpenGL renderer: plain calls of OpenGL 3.3 core (macOS's 4.1 has all of it) on a context that the caller made current.

One instanced quad per Gaussian, front to back, blended with (1 − α of the target, 1) into a half-float target; a second pass
adds the background. The vertices have no attributes: a Gaussian's numbers come from a float texture, the depth order from an
integer texture, so the only work of the processor is the sort and the upload.
"""

from __future__ import annotations

import re
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError
from core.render.egl import OffscreenContext
from core.render.renderer import Background, RenderStats, StageClock
from core.types import Camera, FloatArray, Gaussians

try:
    import OpenGL

    OpenGL.ERROR_CHECKING = False
    from OpenGL import GL
except ImportError as error:  # PyOpenGL is absent, or finds no OpenGL library
    raise DeviceError(f"OpenGL cannot be used: {error}",
                      "install PyOpenGL and the system's OpenGL library (Debian, Ubuntu: libgl1)") from None

SOFTWARE_RENDERERS = re.compile("llvmpipe|softpipe|swiftshader|software|gdi generic|basic render", re.IGNORECASE)
SPLATS_PER_ROW = 256  # of the attribute texture
TEXELS = 4  # per splat: xyz opacity · scale - · quaternion · rgb -
ORDER_WIDTH = 1024


class OpenGLRenderer:
    """`Renderer` for the current context. Every call needs the same context to be current.

    Attributes:
        description: the driver's name for the device.
        is_software: whether that device is the processor itself.

    Raises:
        DeviceError: the context is older than 3.3, or a shader does not compile.
    """

    name = "opengl"

    def __init__(self) -> None:
        self.stats = RenderStats()
        self.description = (GL.glGetString(GL.GL_RENDERER) or b"unknown").decode()
        self.is_software = bool(SOFTWARE_RENDERERS.search(self.description))
        version = (GL.glGetIntegerv(GL.GL_MAJOR_VERSION), GL.glGetIntegerv(GL.GL_MINOR_VERSION))
        if version < (3, 3):
            raise DeviceError(f"OpenGL 3.3 is needed, {self.description} offers {version[0]}.{version[1]}",
                              "update the graphics driver")
        self._splat_program = _link_program("splat.vert", "splat.frag")
        self._resolve_program = _link_program("resolve.vert", "resolve.frag")
        self._vertex_array = GL.glGenVertexArrays(1)
        self._attributes, self._order = _create_texture(), _create_texture()
        self._attribute_data = np.zeros((0, SPLATS_PER_ROW, TEXELS, 4), np.float32)
        self._order_data = np.zeros((0, ORDER_WIDTH), np.uint32)
        self._accumulation, self._accumulation_texture, self._size = GL.glGenFramebuffers(1), _create_texture(), (0, 0)

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a picture and read it back."""
        clock = StageClock()
        target, buffer = GL.glGenFramebuffers(1), GL.glGenRenderbuffers(1)
        GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
        GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, GL.GL_RGBA8, camera.width, camera.height)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
        GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, GL.GL_COLOR_ATTACHMENT0, GL.GL_RENDERBUFFER, buffer)
        self.draw(gaussians, camera, background, target)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, target)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        data = GL.glReadPixels(0, 0, camera.width, camera.height, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, 0)
        GL.glDeleteFramebuffers(1, [target])
        GL.glDeleteRenderbuffers(1, [buffer])
        picture = np.frombuffer(data, np.uint8).reshape(camera.height, camera.width, 4)[::-1].copy()
        self.stats = RenderStats(self.stats.project_ms, self.stats.sort_ms, clock.lap() - self.stats.sort_ms, len(gaussians))
        return picture

    def draw(self, gaussians: Gaussians, camera: Camera, background: Background, framebuffer: int) -> None:
        """Draw into a framebuffer of the caller's (a `QOpenGLWidget`'s, never assume 0), picture upright.

        The framebuffer's lower left corner of the camera's size is written. Leaves blending off and nothing bound but the
        framebuffer.
        """
        clock = StageClock()
        self._upload(gaussians, camera)
        self.stats = RenderStats(sort_ms=clock.lap(), gaussian_count=len(gaussians))
        self._resize(camera.width, camera.height)
        GL.glViewport(0, 0, camera.width, camera.height)
        GL.glDisable(GL.GL_DEPTH_TEST)
        GL.glDisable(GL.GL_CULL_FACE)
        GL.glDisable(GL.GL_SCISSOR_TEST)
        GL.glBindVertexArray(self._vertex_array)
        self._accumulate(len(gaussians), camera)

        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, framebuffer)
        GL.glUseProgram(self._resolve_program)
        _bind_texture(0, self._accumulation_texture)
        _set_uniform(self._resolve_program, "accumulation", 0)
        GL.glUniform3f(GL.glGetUniformLocation(self._resolve_program, "background"), *(background or (0, 0, 0)))
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, 3)
        GL.glUseProgram(0)
        GL.glBindVertexArray(0)
        _bind_texture(0, 0)

    def _upload(self, gaussians: Gaussians, camera: Camera) -> None:
        """Sort front to back and send the cloud to the device."""
        rows = -(-len(gaussians) // SPLATS_PER_ROW)
        if rows > len(self._attribute_data):
            self._attribute_data = np.zeros((rows, SPLATS_PER_ROW, TEXELS, 4), np.float32)
            self._order_data = np.zeros((-(-rows * SPLATS_PER_ROW // ORDER_WIDTH), ORDER_WIDTH), np.uint32)
        texels = self._attribute_data.reshape(-1, TEXELS, 4)[:len(gaussians)]
        texels[:, 0, :3], texels[:, 0, 3] = gaussians.xyz, gaussians.opacity
        texels[:, 1, :3], texels[:, 2], texels[:, 3, :3] = gaussians.scale, gaussians.quat, gaussians.rgb
        depth = gaussians.xyz @ camera.world_to_camera[2, :3]
        self._order_data.reshape(-1)[:len(gaussians)] = np.argsort(depth)
        _send_texture(self._attributes, GL.GL_RGBA32F, GL.GL_RGBA, GL.GL_FLOAT,
                      self._attribute_data.reshape(-1, SPLATS_PER_ROW * TEXELS, 4))
        _send_texture(self._order, GL.GL_R32UI, GL.GL_RED_INTEGER, GL.GL_UNSIGNED_INT, self._order_data[..., None])

    def _resize(self, width: int, height: int) -> None:
        """Give the half-float target the picture's size."""
        if (width, height) == self._size:
            return
        GL.glBindTexture(GL.GL_TEXTURE_2D, self._accumulation_texture)
        GL.glTexImage2D(GL.GL_TEXTURE_2D, 0, GL.GL_RGBA16F, width, height, 0, GL.GL_RGBA, GL.GL_HALF_FLOAT, None)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._accumulation)
        GL.glFramebufferTexture2D(GL.GL_FRAMEBUFFER, GL.GL_COLOR_ATTACHMENT0, GL.GL_TEXTURE_2D, self._accumulation_texture, 0)
        if GL.glCheckFramebufferStatus(GL.GL_FRAMEBUFFER) != GL.GL_FRAMEBUFFER_COMPLETE:
            raise DeviceError(f"{self.description} cannot draw {width}×{height} pixels in half floats", "use the CPU renderer")
        self._size = (width, height)

    def _accumulate(self, count: int, camera: Camera) -> None:
        """Blend the quads into the half-float target."""
        program = self._splat_program
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._accumulation)
        GL.glClearColor(0, 0, 0, 0)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT)
        GL.glEnable(GL.GL_BLEND)
        GL.glBlendFunc(GL.GL_ONE_MINUS_DST_ALPHA, GL.GL_ONE)
        GL.glUseProgram(program)
        _bind_texture(0, self._attributes)
        _bind_texture(1, self._order)
        _set_uniform(program, "attributes", 0)
        _set_uniform(program, "order", 1)
        view = np.ascontiguousarray(camera.world_to_camera, np.float32)
        GL.glUniformMatrix4fv(GL.glGetUniformLocation(program, "world_to_camera"), 1, True, view)
        GL.glUniform4f(GL.glGetUniformLocation(program, "intrinsics"), camera.fx, camera.fy, camera.cx, camera.cy)
        GL.glUniform2f(GL.glGetUniformLocation(program, "picture_size"), camera.width, camera.height)
        GL.glDrawArraysInstanced(GL.GL_TRIANGLE_STRIP, 0, 4, count)
        GL.glDisable(GL.GL_BLEND)
        _bind_texture(1, 0)

    def warm_up(self) -> None:
        """Nothing to do: the driver compiled the shaders when the renderer was made."""

    def close(self) -> None:
        """Delete what was made in the context."""
        GL.glDeleteFramebuffers(1, [self._accumulation])
        GL.glDeleteTextures([self._attributes, self._order, self._accumulation_texture])
        GL.glDeleteVertexArrays(1, [self._vertex_array])
        GL.glDeleteProgram(self._splat_program)
        GL.glDeleteProgram(self._resolve_program)


class OffscreenOpenGLRenderer(OpenGLRenderer):
    """`OpenGLRenderer` with a context of its own and no window. It belongs to the thread that made it."""

    def __init__(self) -> None:
        self._context = OffscreenContext()
        super().__init__()

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        self._context.make_current()
        return super().render(gaussians, camera, background)

    def close(self) -> None:
        self._context.make_current()
        super().close()
        self._context.close()


def _link_program(vertex: str, fragment: str) -> int:
    program = GL.glCreateProgram()
    for name, kind in ((vertex, GL.GL_VERTEX_SHADER), (fragment, GL.GL_FRAGMENT_SHADER)):
        shader = GL.glCreateShader(kind)
        GL.glShaderSource(shader, (files("core.render") / "shaders" / name).read_text())
        GL.glCompileShader(shader)
        if not GL.glGetShaderiv(shader, GL.GL_COMPILE_STATUS):
            raise DeviceError(f"the driver does not compile {name}: {GL.glGetShaderInfoLog(shader)}", "use the CPU renderer")
        GL.glAttachShader(program, shader)
        GL.glDeleteShader(shader)
    GL.glLinkProgram(program)
    if not GL.glGetProgramiv(program, GL.GL_LINK_STATUS):
        raise DeviceError(f"the driver does not link {vertex} and {fragment}: {GL.glGetProgramInfoLog(program)}",
                          "use the CPU renderer")
    return program


def _create_texture() -> int:
    """A texture that is read texel by texel."""
    texture = GL.glGenTextures(1)
    GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
    GL.glTexParameteri(GL.GL_TEXTURE_2D, GL.GL_TEXTURE_MIN_FILTER, GL.GL_NEAREST)
    GL.glTexParameteri(GL.GL_TEXTURE_2D, GL.GL_TEXTURE_MAG_FILTER, GL.GL_NEAREST)
    return texture


def _send_texture(texture: int, internal_format: int, layout: int, kind: int, data: FloatArray) -> None:
    GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
    GL.glTexImage2D(GL.GL_TEXTURE_2D, 0, internal_format, data.shape[1], data.shape[0], 0, layout, kind, data)


def _bind_texture(unit: int, texture: int) -> None:
    GL.glActiveTexture(GL.GL_TEXTURE0 + unit)
    GL.glBindTexture(GL.GL_TEXTURE_2D, texture)


def _set_uniform(program: int, name: str, value: int) -> None:
    GL.glUniform1i(GL.glGetUniformLocation(program, name), value)
