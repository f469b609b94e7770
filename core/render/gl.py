"""OpenGL: the one module that imports it, and the few objects of 3.3 core that the renderer and the blend are made of.

Everything here needs a current context. Objects must be deleted in the context that they were made in.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError
from core.render.shader_source import shader_source

try:
    import OpenGL

    OpenGL.ERROR_CHECKING = False  # one look at the end of a picture is enough: `check_errors`
    from OpenGL import GL
except ImportError as error:  # PyOpenGL is absent, or finds no OpenGL library
    raise DeviceError(f"OpenGL cannot be used: {error}",
                      "install PyOpenGL and the system's OpenGL library (Debian, Ubuntu: libgl1)") from None

SOFTWARE_RENDERERS = re.compile("llvmpipe|softpipe|swiftshader|software|gdi generic|basic render", re.IGNORECASE)
_USE_CPU = "use the CPU renderer"


class TexelFormat(NamedTuple):
    """How texels are kept on the device, and what their data look like on this side."""

    internal: int
    layout: int
    kind: int


RGBA32F = TexelFormat(GL.GL_RGBA32F, GL.GL_RGBA, GL.GL_FLOAT)
RGBA16F = TexelFormat(GL.GL_RGBA16F, GL.GL_RGBA, GL.GL_HALF_FLOAT)
RGBA8 = TexelFormat(GL.GL_RGBA8, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE)
RGBA8I = TexelFormat(GL.GL_RGBA8I, GL.GL_RGBA_INTEGER, GL.GL_BYTE)
RGBA32I = TexelFormat(GL.GL_RGBA32I, GL.GL_RGBA_INTEGER, GL.GL_INT)
R32F = TexelFormat(GL.GL_R32F, GL.GL_RED, GL.GL_FLOAT)
R32I = TexelFormat(GL.GL_R32I, GL.GL_RED_INTEGER, GL.GL_INT)
R32UI = TexelFormat(GL.GL_R32UI, GL.GL_RED_INTEGER, GL.GL_UNSIGNED_INT)


class Device(NamedTuple):
    """What draws.

    Attributes:
        name: as its driver calls it.
        is_software: whether it is the processor itself.
        largest_side: texels along a side of a texture;  most_layers: of an array of textures.
    """

    name: str
    is_software: bool
    largest_side: int
    most_layers: int


def current_device() -> Device:
    """The device of the current context.

    Raises:
        DeviceError: there is no context, or it is older than OpenGL 3.3.
    """
    raw = GL.glGetString(GL.GL_RENDERER)
    if raw is None:
        raise DeviceError("there is no OpenGL context", _USE_CPU)
    name = raw.decode(errors="replace")
    version = (int(GL.glGetIntegerv(GL.GL_MAJOR_VERSION)), int(GL.glGetIntegerv(GL.GL_MINOR_VERSION)))
    if version < (3, 3):
        raise DeviceError(f"OpenGL 3.3 is needed, {name} offers {version[0]}.{version[1]}", "update the graphics driver")
    return Device(name, bool(SOFTWARE_RENDERERS.search(name)), int(GL.glGetIntegerv(GL.GL_MAX_TEXTURE_SIZE)),
                  int(GL.glGetIntegerv(GL.GL_MAX_ARRAY_TEXTURE_LAYERS)))


def check_errors(doing: str) -> None:
    """Raise DeviceError when an OpenGL call has failed since the last look."""
    code = GL.glGetError()
    if code != GL.GL_NO_ERROR:
        raise DeviceError(f"OpenGL failed while {doing} (error 0x{int(code):04x})", _USE_CPU)


class Texture:
    """Texels that shaders fetch one by one, in a plane or in layers.

    Args:
        texels: format.
        layered: an array of layers rather than one plane.
    """

    def __init__(self, texels: TexelFormat, layered: bool = False) -> None:
        self.texels = texels
        self.target = GL.GL_TEXTURE_2D_ARRAY if layered else GL.GL_TEXTURE_2D
        self.shape: tuple[int, ...] = ()
        self.name = int(GL.glGenTextures(1))
        self.bind(0)
        for parameter in (GL.GL_TEXTURE_MIN_FILTER, GL.GL_TEXTURE_MAG_FILTER):
            GL.glTexParameteri(self.target, parameter, GL.GL_NEAREST)
        GL.glTexParameteri(self.target, GL.GL_TEXTURE_MAX_LEVEL, 0)

    def bind(self, unit: int) -> None:
        """Make it the texture of a unit."""
        GL.glActiveTexture(GL.GL_TEXTURE0 + unit)
        GL.glBindTexture(self.target, self.name)

    def allocate(self, *shape: int) -> None:
        """Give it a size, [layers,] rows, columns; what it held is lost unless the size is the same."""
        if shape != self.shape:
            self._define(shape, None)

    def send(self, data: NDArray) -> None:
        """Fill it with [layers,] rows, columns, components (which may be left out when there is one)."""
        data = np.ascontiguousarray(data)
        shape = data.shape[:3 if self.target == GL.GL_TEXTURE_2D_ARRAY else 2]
        if shape != self.shape:
            self._define(shape, data)
            return
        self.bind(0)
        size, rest = shape[::-1], (self.texels.layout, self.texels.kind, data)
        if len(shape) == 2:
            GL.glTexSubImage2D(self.target, 0, 0, 0, *size, *rest)
        else:
            GL.glTexSubImage3D(self.target, 0, 0, 0, 0, *size, *rest)

    def _define(self, shape: tuple[int, ...], data: NDArray | None) -> None:
        self.bind(0)
        GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
        define = GL.glTexImage2D if len(shape) == 2 else GL.glTexImage3D
        define(self.target, 0, self.texels.internal, *shape[::-1], 0, self.texels.layout, self.texels.kind, data)
        self.shape = shape

    def delete(self) -> None:
        """Free it; harmless when repeated."""
        if self.name:
            GL.glDeleteTextures([self.name])
            self.name = 0


class Target:
    """Textures that a pass draws into, one for each of its outputs: (texture, layer), layer None for a plane.

    Raises:
        DeviceError: the device cannot draw into them.
    """

    def __init__(self, *outputs: tuple[Texture, int | None]) -> None:
        self.name = int(GL.glGenFramebuffers(1))
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self.name)
        places = [GL.GL_COLOR_ATTACHMENT0 + i for i in range(len(outputs))]
        for place, (texture, layer) in zip(places, outputs, strict=True):
            if layer is None:
                GL.glFramebufferTexture2D(GL.GL_FRAMEBUFFER, place, texture.target, texture.name, 0)
            else:
                GL.glFramebufferTextureLayer(GL.GL_FRAMEBUFFER, place, texture.name, 0, layer)
        GL.glDrawBuffers(len(places), places)
        self._height, self._width = outputs[0][0].shape[-2:]
        if GL.glCheckFramebufferStatus(GL.GL_FRAMEBUFFER) != GL.GL_FRAMEBUFFER_COMPLETE:
            self.delete()
            raise DeviceError(f"the graphics device cannot draw into {self._width}×{self._height} texels", _USE_CPU)

    def bind(self) -> None:
        """Direct drawing to it, all of it."""
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self.name)
        GL.glViewport(0, 0, self._width, self._height)

    def read(self, output: int, texels: TexelFormat, into: NDArray) -> None:
        """Copy an output to `into`, rows from row 0 on."""
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self.name)
        GL.glReadBuffer(GL.GL_COLOR_ATTACHMENT0 + output)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        GL.glReadPixels(0, 0, self._width, self._height, texels.layout, texels.kind, into)

    def delete(self) -> None:
        """Free it, not its textures; harmless when repeated."""
        if self.name:
            GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, 0)
            GL.glDeleteFramebuffers(1, [self.name])
            self.name = 0


class Program:
    """A vertex and a fragment shader.

    Args:
        vertex, fragment: files in ``shaders`` of a package, as "package/file".
        defines: names that the preprocessor knows.

    Raises:
        DeviceError: the driver does not take a shader.
    """

    def __init__(self, vertex: str, fragment: str, defines: tuple[str, ...] = ()) -> None:
        self.name = GL.glCreateProgram()
        self._places: dict[str, int] = {}
        shaders = []
        for path, kind in ((vertex, GL.GL_VERTEX_SHADER), (fragment, GL.GL_FRAGMENT_SHADER)):
            shader = GL.glCreateShader(kind)
            GL.glShaderSource(shader, shader_source(path, defines))
            GL.glCompileShader(shader)
            if not GL.glGetShaderiv(shader, GL.GL_COMPILE_STATUS):
                raise DeviceError(f"the driver does not compile {path}: {GL.glGetShaderInfoLog(shader)}", _USE_CPU)
            GL.glAttachShader(self.name, shader)
            shaders.append(shader)
        GL.glLinkProgram(self.name)
        for shader in shaders:
            GL.glDetachShader(self.name, shader)
            GL.glDeleteShader(shader)
        if not GL.glGetProgramiv(self.name, GL.GL_LINK_STATUS):
            raise DeviceError(f"the driver does not link {vertex} and {fragment}: {GL.glGetProgramInfoLog(self.name)}",
                              _USE_CPU)

    def use(self, **textures: Texture) -> None:
        """Draw with it from now on, with these textures for its samplers."""
        GL.glUseProgram(self.name)
        for unit, (sampler, texture) in enumerate(textures.items()):
            texture.bind(unit)
            GL.glUniform1i(self._place(sampler), unit)

    def set(self, **uniforms: float | tuple[float, ...] | NDArray) -> None:
        """Numbers, vectors and square matrices (row by row) of the program in use."""
        for name, value in uniforms.items():
            place = self._place(name)
            if isinstance(value, bool | int):
                GL.glUniform1i(place, int(value))
                continue
            array = np.ascontiguousarray(value, np.float32)
            if array.ndim == 2:
                upload = GL.glUniformMatrix4fv if len(array) == 4 else GL.glUniformMatrix3fv
                upload(place, 1, True, array)
            else:
                upload = (GL.glUniform1f, GL.glUniform2f, GL.glUniform3f, GL.glUniform4f)[array.size - 1]
                upload(place, *(float(number) for number in array.reshape(-1)))

    def _place(self, name: str) -> int:
        if name not in self._places:
            self._places[name] = GL.glGetUniformLocation(self.name, name)
        return self._places[name]

    def delete(self) -> None:
        """Free it; harmless when repeated."""
        if self.name:
            GL.glUseProgram(0)  # one in use would live on
            GL.glDeleteProgram(self.name)
            self.name = 0


class CoverPass:
    """A program that runs once for every texel of a target. Arguments as for `Program`, without the vertex shader."""

    def __init__(self, fragment: str, defines: tuple[str, ...] = ()) -> None:
        self.program = Program("core.render/cover.vert", fragment, defines)
        self._vertex_array = int(GL.glGenVertexArrays(1))

    def run(self, target: Target) -> None:
        """Fill the target; the program's textures and uniforms are set by the caller."""
        target.bind()
        GL.glDisable(GL.GL_BLEND)
        GL.glBindVertexArray(self._vertex_array)
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, 3)

    def delete(self) -> None:
        """Free it; harmless when repeated."""
        self.program.delete()
        if self._vertex_array:
            GL.glBindVertexArray(0)
            GL.glDeleteVertexArrays(1, [self._vertex_array])
            self._vertex_array = 0
