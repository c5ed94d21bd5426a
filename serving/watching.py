"""The watch beside the service (`monitoring.watch`): one thread that ticks, started and stopped with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from asr import bundle, onnx_asr_files
from asr.phonetic import phonetic_distance
from asr.pronounce import Pronounce, pronouncer
from monitoring.alarms import rules
from monitoring.alarms.actions import parse_actions
from monitoring.follower import Follower
from monitoring.metrics import Metrics
from monitoring.outcomes import Distance
from monitoring.store import EventStore
from monitoring.watch import Watch
from serving.search_query import normalise
from serving.settings import Settings

LOG = logging.getLogger(__name__)

EVERY_S = 30.0
STOP_S = 10.0  # what a tick may take when the service ends


class Watching:
    """A watch, and the thread that has it tick."""

    def __init__(
        self,
        watch: Watch,
        every_s: float = EVERY_S,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.watch = watch
        self._every_s, self._clock = every_s, clock
        self._stopping, self._ticked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tick no more; write what waits. A step that hangs is left to itself; what is lost by that is logged."""
        self._stopping.set()
        self.watch.stop()
        if self._ticked.wait(STOP_S):
            self._thread.join()
        else:
            LOG.error("watch_stuck", extra={"count": self.watch.abandon()})

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            self.watch.tick(self._clock())
        self._ticked.set()
        self.watch.close()  # here: whatever happens, the lock is given back by the thread that holds it


def start(settings: Settings, store: EventStore, metrics: Metrics, pronounce: Pronounce | None) -> Watching:
    """Watch with these settings. ``pronounce``: of the model, where somebody has loaded it already.

    Raises RulesError, ActionError and, where a model has no pronunciations, BundleError: only a person can mend
    them.
    """
    watch = Watch(
        store,
        metrics,
        rules.load(settings.rules),
        Follower(distance_of(settings.model, pronounce)),
        parse_actions(settings.alarm_webhook, settings.alertmanager),
        settings.keeping,
    )
    return Watching(watch)


def distance_of(model: str, pronounce: Pronounce | None = None) -> Distance:
    """How unlike two texts sound, spoken or typed: what people type has capitals, digits and punctuation.

    Without ``pronounce`` the pronunciations are read now, while a person sees what is missing: BundleError.
    """
    if pronounce is None:
        # Models of others bring no pronunciations.
        folder = bundle.find(bundle.DEFAULT_MODEL if onnx_asr_files.is_named(model) else model)
        pronounce = pronouncer(folder, bundle.read(folder))
    known = pronounce

    def distance(a: str, b: str) -> float:
        return phonetic_distance(normalise(a), normalise(b), known)

    return distance
