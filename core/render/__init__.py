"""Gaussians to pictures: one interface, a reference that defines it, and renderers for the processor and for graphics cards."""

from core.render.renderer import Background, Renderer, RenderStats, open_renderer

__all__ = ["Background", "RenderStats", "Renderer", "open_renderer"]
