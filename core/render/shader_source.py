"""The texts of the shaders. The same files serve OpenGL 3.3 and, in exported web pages, WebGL2; only the first lines differ."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

OPENGL = "#version 330 core\n"
# Where desktop GLSL has one precision, GLSL ES wants to be told; half of a phone's mediump would not hold texel numbers.
WEBGL = "#version 300 es\n" + "".join(
    f"precision highp {kind};\n" for kind in ("float", "int", "sampler2D", "sampler2DArray", "isampler2D", "isampler2DArray",
                                              "usampler2D"))


def shader_source(path: str, defines: Sequence[str] = (), dialect: str = OPENGL) -> str:
    """The text of a shader as a driver takes it.

    Args:
        path: a file in ``shaders`` of a package, as "package/file".
        defines: names, with or without a value, that the preprocessor knows.
        dialect: `OPENGL` or `WEBGL`.
    """
    package, _, name = path.partition("/")
    text = (files(package) / "shaders" / name).read_text(encoding="utf-8")
    return dialect + "".join(f"#define {word}\n" for word in defines) + text
