"""Watches losses and gradient norms of a training and says when a step must not be taken, when to go back, when to give up."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Any


class Verdict(Enum):
    """What to do with a step whose gradients are known. In the last three cases its gradients are to be thrown away."""

    TAKE = "take the step"
    SKIP = "skip the step"
    ROLL_BACK = "go back to the newest checkpoint with a lower learning rate"
    FAIL = "give up"


@dataclass(frozen=True)
class Decision:
    """A verdict and, unless it is TAKE, its reason in one line."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class GuardPolicy:
    """When a step is bad and what follows.

    Attributes:
        window: steps whose values the running median is over.
        warm_up: steps before the median is trusted.
        factor: a value whose size is above this many times the median of sizes has exploded.
        floor: sizes up to this never count as exploded, whatever the median: losses come close to zero.
        bad_steps: bad ones among the last `span` steps that make it go back.
        span: how far back bad steps count.
        roll_backs: how often it goes back before it gives up.
        recovery: good steps after which one going back is forgiven.
        learning_rate_factor: by which the learning rates are multiplied for each going back that is not forgiven.
    """

    window: int = 200
    warm_up: int = 50
    factor: float = 50.0
    floor: float = 1.0
    bad_steps: int = 5
    span: int = 50
    roll_backs: int = 3
    recovery: int = 5000
    learning_rate_factor: float = 0.5

    def __post_init__(self) -> None:
        if not (1 <= self.warm_up <= self.window and 1 <= self.bad_steps <= self.span and self.factor > 1
                and 0 < self.learning_rate_factor <= 1 and self.roll_backs >= 0 and self.recovery >= 1):
            raise ValueError(f"{self} is not a policy")


class Guard:
    """Judges the steps of one training, in their order.

    The values it is shown must be equal in all processes (means over them), so that all decide alike. A single bad step is
    skipped, be it NaN, infinite or exploded; only values of steps that are taken enter the median. `bad_steps` of them within
    `span` steps call for the newest checkpoint; when the loop has gone back it calls `rolled_back`.
    """

    def __init__(self, policy: GuardPolicy = GuardPolicy()) -> None:
        self.policy = policy
        self.roll_backs = 0
        self._good_steps = 0
        self._sizes: dict[str, deque[float]] = {}
        self._bad: deque[bool] = deque(maxlen=policy.span)

    @property
    def learning_rate_scale(self) -> float:
        """What the recipe's learning rates are to be multiplied by."""
        return self.policy.learning_rate_factor ** self.roll_backs

    def judge(self, values: Iterable[tuple[str, float]]) -> Decision:
        """Judge a step by its (name, value) pairs: losses, gradient norms. A name need not come at every step."""
        values = tuple(values)
        reason = next((problem for name, value in values if (problem := self._problem(name, value))), "")
        self._bad.append(bool(reason))
        if not reason:
            self._take(values)
            return Decision(Verdict.TAKE)
        bad = sum(self._bad)
        if bad < self.policy.bad_steps:
            return Decision(Verdict.SKIP, reason)
        reason = f"{reason}, {bad} bad steps among the last {len(self._bad)}"
        if self.roll_backs < self.policy.roll_backs:
            return Decision(Verdict.ROLL_BACK, reason)
        return Decision(Verdict.FAIL, f"the training is unstable: {reason}, after going back {self.roll_backs} times")

    def rolled_back(self) -> None:
        """The loop has gone back to a checkpoint: history starts anew, the learning rate scale is one step lower."""
        self.roll_backs += 1
        self.start_phase()

    def start_phase(self) -> None:
        """What is measured changes (another phase, another resolution): earlier values are no measure for later ones."""
        self._good_steps = 0
        self._sizes.clear()
        self._bad.clear()

    def state(self) -> dict[str, Any]:
        """All it remembers, fit for JSON. To be restored when a process resumes, not when it goes back."""
        return {"roll_backs": self.roll_backs, "good_steps": self._good_steps, "bad": list(self._bad),
                "sizes": {name: list(sizes) for name, sizes in self._sizes.items()}}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.roll_backs, self._good_steps = int(state["roll_backs"]), int(state["good_steps"])
        self._bad = deque((bool(bad) for bad in state["bad"]), maxlen=self.policy.span)
        self._sizes = {str(name): deque(map(float, sizes), maxlen=self.policy.window) for name, sizes in state["sizes"].items()}

    def _problem(self, name: str, value: float) -> str:
        """Why a value is bad, or an empty string."""
        if math.isnan(value):
            return f"{name} is not a number"
        if math.isinf(value):
            return f"{name} is infinite"
        sizes = self._sizes.get(name, ())
        if abs(value) <= self.policy.floor or len(sizes) < self.policy.warm_up:
            return ""
        usual = median(sizes)
        return f"{name} is {value:.3g}, usual is {usual:.3g}" if abs(value) > self.policy.factor * usual else ""

    def _take(self, values: tuple[tuple[str, float], ...]) -> None:
        for name, value in values:
            self._sizes.setdefault(name, deque(maxlen=self.policy.window)).append(abs(value))
        self._good_steps += 1
        if self._good_steps >= self.policy.recovery and self.roll_backs:
            self.roll_backs -= 1
            self._good_steps = 0
