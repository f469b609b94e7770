"""Hair and beards: strands grown on the scalp texels, clumped, and shaded in their own volume."""

from core.studio.hair.growth import Strands
from core.studio.hair.shading import shade_strands
from core.studio.hair.styles import grow_hair

__all__ = ["Strands", "grow_hair", "shade_strands"]
