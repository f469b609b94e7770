"""Threads that each own a tool. A renderer and its graphics context belong to the thread that made them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Protocol


class Tool(Protocol):
    """Turns a job into a result; closed in the thread that made it."""

    def __call__(self, job: Any) -> Any: ...

    def close(self) -> None: ...


class WorkerPool:
    """A few threads, each with a tool of its own.

    Args:
        make_tool: called in every thread before its first job; what it raises is raised by the jobs of that thread.
        count: number of threads.
    """

    def __init__(self, make_tool: Callable[[], Tool], count: int) -> None:
        self.count = count
        self._make_tool = make_tool
        self._jobs: queue.SimpleQueue[tuple[Any, Future] | None] = queue.SimpleQueue()
        self._stopping = False
        self._threads = [threading.Thread(target=self._work, name=f"painter-{i}", daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def submit(self, job: Any) -> Future:
        """Hand in a job."""
        future: Future = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Finish the jobs under way, give up those that wait, and end the threads."""
        self._stopping = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        tool, problem = None, None
        try:
            tool = self._make_tool()
        except Exception as error:
            problem = error
        while (item := self._jobs.get()) is not None:
            job, future = item
            if self._stopping:
                future.cancel()
            elif problem is not None:
                future.set_exception(problem)
            else:
                self._run(tool, job, future)
        if tool is not None:
            tool.close()

    @staticmethod
    def _run(tool: Tool, job: Any, future: Future) -> None:
        try:
            future.set_result(tool(job))
        except Exception as error:
            future.set_exception(error)
