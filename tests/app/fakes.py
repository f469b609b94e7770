"""Stand-ins for the live session, for tests of models and docks."""

from __future__ import annotations

from core.pipeline.live.state import LiveStats, SourceStatus


class FakeSession:
    """Remembers what it was told: `calls` holds (method, arguments); what it tells can be set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple]] = []
        self.sinks: list = []
        self.observers: list = []
        self.status = SourceStatus()
        self.statistics = LiveStats()
        self.picture = None

    def last(self, method: str):
        """Arguments of the latest call of a method, None when it was not called."""
        return next((arguments for name, arguments in reversed(self.calls) if name == method), None)

    def source_status(self) -> SourceStatus:
        return self.status

    def stats(self) -> LiveStats:
        return self.statistics

    def latest_picture(self):
        return self.picture

    def add_sink(self, sink) -> None:
        self.sinks.append(sink)

    def remove_sink(self, sink) -> None:
        if sink in self.sinks:
            self.sinks.remove(sink)

    def add_observer(self, observer) -> None:
        self.observers.append(observer)

    def remove_observer(self, observer) -> None:
        if observer in self.observers:
            self.observers.remove(observer)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments, **named: self.calls.append((name, (*arguments, *named.values())))
