"""How unlike a clip sounds to the one before it in its session: who was not understood says the same again.

Of each session the last clip is kept, as a sketch (`asr.spoken_distance`: about a kilobyte, from which neither voice
nor words can be played, but both guessed: personal data). It is in this process's memory alone, for two minutes, and
goes at once when its session is erased. No more sessions are kept than fit; the ones quiet for longest go first.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import NamedTuple

from anyio import to_thread

from asr.spoken_distance import Samples, Sketch, sketch, spoken_distance
from asr.transcript import SAMPLE_RATE_HZ, ClipStats

KEPT_S = 120.0  # then the next clip is something else: `monitoring.outcomes`
MOST = 10_000  # sessions: 10 MB of clips of two seconds, 50 MB at worst
EXPIRE_EVERY_S = 10.0


class Sitting(NamedTuple):
    """A session and the API key that names it so; another's session of that name is another."""

    key_id: str | None
    session: str


@dataclass(frozen=True, slots=True)
class _Last:
    sketch: Sketch
    at: float  # of the clock


class Repeats:
    """The last clip of each session. Thread-safe."""

    def __init__(
        self, most: int = MOST, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._kept_s = kept_s
        self._clock = clock
        self._last: OrderedDict[Sitting, _Last] = OrderedDict()  # the one quiet for longest first
        self._lock = Lock()

    def __len__(self) -> int:
        """Sessions of which a clip is kept."""
        return len(self._last)

    async def heard(
        self, key_id: str | None, session: str | None, samples: Samples, clip: ClipStats
    ) -> float | None:
        """`compare` for a whole clip, whose speech ``clip`` tells, off the event loop."""
        speech = speech_of(samples, clip)
        if session is None or len(speech) == 0:
            return None
        return await to_thread.run_sync(partial(self.compare, key_id, session, speech))

    def compare(self, key_id: str | None, session: str | None, speech: Samples) -> float | None:
        """How unlike this speech (float32, ``(n,)``, 16 kHz) sounds to the last of its session, from 0 to 1.

        From now on it is the last. None without a session, where there was none in the last two minutes, or where
        one of the two is too short to compare. Takes a few milliseconds: for a thread.
        """
        made = None if session is None else sketch(speech)
        if session is None or made is None:
            return None
        sitting = Sitting(key_id, session)
        now = self._clock()
        with self._lock:
            self._expire(now)
            before = self._last.pop(sitting, None)
            self._last[sitting] = _Last(made, now)
            while len(self._last) > self._most:
                self._last.popitem(last=False)
        return None if before is None else spoken_distance(before.sketch, made)

    def expire(self) -> None:
        """Let go of what is too old."""
        with self._lock:
            self._expire(self._clock())

    def forget(self, *sessions: str, key_id: str | None = None) -> None:
        """Let go of these sessions, whosever they are, or of this key."""
        with self._lock:
            for sitting in [
                sitting
                for sitting in self._last
                if sitting.session in sessions and key_id in (None, sitting.key_id)
            ]:
                del self._last[sitting]

    def _expire(self, now: float) -> None:
        while self._last and now - next(iter(self._last.values())).at > self._kept_s:
            self._last.popitem(last=False)


def speech_of(samples: Samples, clip: ClipStats) -> Samples:
    """From the first to the last of what was found to be speech; empty where there was none."""
    if not clip.speech_ratio:
        return samples[:0]
    first, behind = (
        round(silence_s * SAMPLE_RATE_HZ) for silence_s in (clip.leading_silence_s, clip.trailing_silence_s)
    )
    return samples[first : len(samples) - behind]


async def expiring(repeats: Repeats, every_s: float = EXPIRE_EVERY_S) -> None:
    """Let go of what is too old, now and ever again, until cancelled: also when nobody speaks any more."""
    while True:
        repeats.expire()
        await asyncio.sleep(every_s)
