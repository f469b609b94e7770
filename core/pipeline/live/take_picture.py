"""What a take shows: the avatar, the camera's picture beside it, or the head alone with transparency."""

from __future__ import annotations

import cv2
import numpy as np

from core.pipeline.background import Picture, cover, straight_alpha
from core.pipeline.compose import make_layout
from core.pipeline.live.state import LivePicture

TAKE_LAYOUTS = ("avatar", "side-by-side", "alpha")


class TakeComposer:
    """Makes the pictures of one take. Their size is settled by the first one; what has another size later is fitted in.

    Args:
        layout: one of `TAKE_LAYOUTS`. Side by side needs a camera or video; without one the avatar is alone.
        first: the first picture.
    """

    def __init__(self, layout: str, first: LivePicture) -> None:
        self.alpha = layout == "alpha"
        self.height, self.width = first.image.shape[:2]
        self._beside = 0  # width of the driver's cell
        self._driver: Picture | None = None
        if layout == "side-by-side" and first.frame is not None:
            rows, columns = first.frame.image.shape[:2]
            self._beside = make_layout("side-by-side", 1, self.height, columns / rows).driver.width
            self.width += self._beside

    def compose(self, live: LivePicture) -> Picture:
        """A picture [height, width, 3], or [height, width, 4] with straight alpha."""
        if self.alpha:
            return fit(_heads(live), self.width, self.height)
        avatar = fit(live.image, self.width - self._beside, self.height)
        if not self._beside:
            return avatar
        if live.frame is not None:
            self._driver = _covering(live.frame.image, self._beside, self.height)
        canvas = np.empty((self.height, self.width, 3), np.uint8)
        canvas[:, :self._beside] = 0 if self._driver is None else self._driver
        canvas[:, self._beside:] = avatar
        return canvas


def lightened(live: LivePicture, layout: str) -> dict[str, object]:
    """What of a picture need not be kept in memory until it is composed, as changes of its fields."""
    changes: dict[str, object] = {"landmarks": None}
    if layout != "side-by-side":
        changes["frame"] = None
    if layout != "alpha":
        changes["heads"] = ()
    return changes


def fit(image: Picture, width: int, height: int) -> Picture:
    """Scale a picture into width x height, all of it, centred on black (or nothing)."""
    rows, columns = image.shape[:2]
    if (columns, rows) == (width, height):
        return image
    scale = min(width / columns, height / rows)
    wide, high = max(1, round(columns * scale)), max(1, round(rows * scale))
    small = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.zeros((height, width, image.shape[2]), np.uint8)
    left, top = (width - wide) // 2, (height - high) // 2
    canvas[top:top + high, left:left + wide] = small
    return canvas


def _covering(image: Picture, width: int, height: int) -> Picture:
    """As `core.pipeline.background.cover`, but with less smoothing where little is scaled down: a fifth of the time."""
    rows, columns = image.shape[:2]
    scale = max(width / columns, height / rows)
    if scale < 0.5:
        return cover(image, width, height)
    wide, high = min(columns, round(width / scale)), min(rows, round(height / scale))
    left, top = (columns - wide) // 2, (rows - high) // 2
    return cv2.resize(image[top:top + high, left:left + wide], (width, height), interpolation=cv2.INTER_LINEAR)


def _heads(live: LivePicture) -> Picture:
    """The heads side by side with straight alpha."""
    if not live.heads:
        return np.dstack([live.image, np.full(live.image.shape[:2], 255, np.uint8)])
    heads = np.zeros((live.heads[0].shape[0], sum(head.shape[1] for head in live.heads), 4), np.uint8)
    left = 0
    for head in live.heads:
        straight_alpha(head, heads[:, left:left + head.shape[1]])
        left += head.shape[1]
    return heads
