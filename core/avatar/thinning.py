"""A person drawn with fewer Gaussians, for machines that are too slow for all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.avatar.identity import Identity

_PER_GAUSSIAN = ("row", "offset", "tangents", "axis", "opacity_gain", "neck_weight", "normal", "closed")
_MOST_GROWTH = 2.5  # a lonely splat must not become a blot


def thinned(identity: Identity, share: int) -> Identity:
    """One of every `share` Gaussians, enlarged so that it covers what they did.

    Neighbours in the order of a pack are neighbours on the head. Of every group that follow one another the most visible one is
    kept, by opacity times area, and grows in its two larger directions until it is as visible as its group was together. What
    is kept is a person like any other: every backend draws it, and it is driven as before.

    Args:
        share: 1 returns the person as it is.
    """
    if share <= 1:
        return identity
    base, count = identity.gaussians, len(identity)
    ordered = np.sort(base.scale, 1)
    visible = base.opacity.clip(0, 1) * ordered[:, 1] * ordered[:, 2]
    groups = -(-count // share)
    padded = np.full(groups * share, -1.0, np.float32)
    padded[:count] = visible
    table = padded.reshape(groups, share)
    kept = np.argmax(table, 1) + share * np.arange(groups)
    together = table.clip(0).sum(1)
    growth = np.sqrt(together / np.maximum(visible[kept], 1e-12)).clip(1, min(_MOST_GROWTH, share))[:, None]
    scale = base.scale[kept]
    thinnest = scale == scale.min(1, keepdims=True)
    cloud = replace(base.subset(kept), scale=np.where(thinnest, scale, scale * growth).astype(np.float32))
    hung = {name: getattr(identity, name)[kept] for name in _PER_GAUSSIAN if len(getattr(identity, name)) == count}
    return replace(identity, gaussians=cloud, **hung)
