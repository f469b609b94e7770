"""What is shown while the source gives nothing: the face is eased to rest, and blended in again when something comes."""

from __future__ import annotations

from dataclasses import replace

from core.tracking.loss import BLEND_NS, HOLD_NS, LossPolicy
from core.types import HeadParams, TrackState

SILENT_AFTER_NS = 700_000_000
LONGEST_WAIT_NS = 3_000_000_000
_WAITS = 2.5  # times the last distance between items: a slow chain is not a silent one


class SilenceBridge:
    """Bridges gaps between parameters with the tracker's own loss policy.

    The tracker sees frames without a face; it does not see that no frames come. That is noticed here.

    Args:
        expression_count: number of expression columns of the head model.
    """

    def __init__(self, expression_count: int) -> None:
        self._policy = LossPolicy(expression_count)
        self._shown = replace(HeadParams.neutral(expression_count), state=TrackState.LOST)
        self._last: HeadParams | None = None
        self._arrived_ns = 0
        self._interval_ns = 0
        self._silent_ns: int | None = None
        self._blend_until_ns: int | None = None

    @property
    def shown(self) -> HeadParams:
        """What was given last; the face at rest at first."""
        return self._shown

    @property
    def is_easing(self) -> bool:
        """Whether `wait` would give something else than before."""
        return self._silent_ns is not None and self._shown.state is not TrackState.LOST

    def follow(self, params: HeadParams, now_ns: int) -> HeadParams:
        """Take new parameters; returns what to show."""
        self._interval_ns = now_ns - self._arrived_ns if self._last is not None else 0
        if self._silent_ns is not None:
            self._silent_ns, self._blend_until_ns = None, params.time_ns + BLEND_NS
        shown = params
        if self._blend_until_ns is not None:
            if params.time_ns < self._blend_until_ns:
                # The policy only knows faces that are seen; what the tracker itself bridges passes under its own state.
                blended = self._policy.update(replace(params, state=TrackState.TRACKED), params.time_ns)
                shown = replace(blended, state=params.state)
            else:
                self._blend_until_ns = None
        self._last, self._arrived_ns, self._shown = params, now_ns, shown
        return shown

    def wait(self, now_ns: int) -> HeadParams | None:
        """Nothing came: what to show instead, or None when that is what is shown already."""
        if self._last is None:
            return None
        if self._silent_ns is None:
            patience = min(max(SILENT_AFTER_NS, round(_WAITS * self._interval_ns)), LONGEST_WAIT_NS)
            if now_ns - self._arrived_ns < patience:
                return None
            self._begin(now_ns)
        if self._shown.state is TrackState.LOST:
            return None
        self._shown = self._policy.update(None, self._last.time_ns + HOLD_NS + now_ns - self._silent_ns)
        return self._shown

    def stay(self, now_ns: int) -> None:
        """Something came but is not shown (paused): that is no silence."""
        self._arrived_ns = now_ns

    def cut(self, now_ns: int) -> None:
        """What comes next is of another source: blend into it."""
        if self._last is not None and self._silent_ns is None:
            self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        self._silent_ns = now_ns
        self._policy.reset()
        self._policy.update(replace(self._shown, state=TrackState.TRACKED), self._shown.time_ns)
        self._policy.update(None, self._shown.time_ns)
        self._last = self._shown
