"""The rasteriser for machines without a graphics processor."""

from core.render.cpu.rasterizer import CpuRenderer

__all__ = ["CpuRenderer"]
