"""Procedural people: seed -> Gaussians on the open head, and the rig that moves them."""

from core.studio.assemble import build_identity, describe
from core.studio.atlas import TexelAtlas
from core.studio.identity import StudioIdentity, Wrinkles
from core.studio.mixing import mix_traits
from core.studio.pose import pose_identity
from core.studio.traits import Traits, sample_traits

__all__ = ["StudioIdentity", "TexelAtlas", "Traits", "Wrinkles", "build_identity", "describe",
           "mix_traits", "pose_identity", "sample_traits"]
