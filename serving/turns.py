"""Work off the event loop that takes turns: so many threads for one kind of work, and so many that may wait for one.

Each kind has threads of its own, so that one that is slow, or asked for too often, holds up nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from serving.errors import OverloadedError

RETRY_S = 1.0

T = TypeVar("T")


class Turns:
    """``threads`` at once; ``waiting`` more wait. ``what`` names the work in the refusal ("clips wait to be decoded").

    Belongs to the event loop that it is made on.
    """

    def __init__(self, threads: int, waiting: int, what: str) -> None:
        self._limiter = CapacityLimiter(threads)
        self._waiting = waiting
        self._what = what

    async def run(self, work: Callable[[], T]) -> T:
        """Its result, from a thread. Raises what it raises, and OverloadedError at once where too many wait."""
        # Asked and joined without an await between: nobody slips in.
        if self._limiter.statistics().tasks_waiting >= self._waiting:
            raise OverloadedError(f"{self._waiting} {self._what}; try again later", RETRY_S)
        return await to_thread.run_sync(work, limiter=self._limiter)
