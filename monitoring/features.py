"""What is watched of a request: its features, in the order of the pipeline, each a number read off a `Record`.

A feature belongs to a stage of the pipeline, so that a change in one stage can be looked for in the next. ``edges``
are fixed bins for counting (`rollup`), the same for everybody and for ever, so that counts of different minutes,
processes and versions add up. Drift is judged on the numbers themselves, not in these bins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from asr.transcript import ClipStats
from monitoring.record import Outcome, Record, Transport

UNKNOWN_SCORE = 0.5  # a query whose best item scores less asks for what the catalogue does not have


class Stage(StrEnum):
    """Where in the pipeline a feature is made, first to last."""

    INPUT = "input"  # the microphone, the room, the person
    SPEECH = "speech"  # voice activity detection and level
    TEXT = "text"  # network and search for words
    SEARCH = "search"  # the catalogue
    PEOPLE = "people"  # what they do next


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of a request. ``of`` gives None where the request has none. ``binary``: 0 or 1, and no ``edges``.

    ``edges`` are n rising bounds of n + 1 bins: below the first, between two (the lower one included), and from the
    last on.
    """

    name: str
    stage: Stage
    unit: str
    help: str
    of: Callable[[Record], float | None]
    edges: tuple[float, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether it says yes or no."""
        return not self.edges


def _clip(name: str) -> Callable[[Record], float | None]:
    number: Callable[[ClipStats], float | None] = attrgetter(name)
    return lambda record: None if record.clip is None else number(record.clip)


def _null(record: Record) -> float | None:
    spoken = record.outcome in (Outcome.OK, Outcome.NULL) and record.transport is not Transport.TEXT
    return float(record.outcome is Outcome.NULL) if spoken else None


def _words_per_s(record: Record) -> float | None:
    speech_s = 0.0 if record.clip is None else record.clip.duration_s * record.clip.speech_ratio
    return record.n_words / speech_s if record.n_words and speech_s else None


def _confidence(record: Record) -> float | None:
    return record.confidence if record.n_words and record.clip is not None else None


def _searched(record: Record) -> bool:
    return record.outcome is Outcome.OK and "search" in record.stages_s


def _no_results(record: Record) -> float | None:
    return float(not record.results) if _searched(record) else None


def _out_of_catalog(record: Record) -> float | None:
    return float((record.top_score or 0.0) < UNKNOWN_SCORE) if _searched(record) else None


def _steps(first: float, last: float, step: float) -> tuple[float, ...]:
    return tuple(round(first + i * step, 6) for i in range(round((last - first) / step) + 1))


_RATIOS = _steps(0.05, 0.95, 0.05)
_SILENCES_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

FEATURES = (
    Feature("duration_s", Stage.INPUT, "s", "Length of clips", _clip("duration_s"),
            (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)),
    Feature("level_dbfs", Stage.INPUT, "dBFS", "Speech level before any gain", _clip("level_dbfs"),
            _steps(-60.0, -5.0, 2.5)),
    Feature("snr_db", Stage.INPUT, "dB", "Signal-to-noise ratio", _clip("snr_db"), _steps(0.0, 57.5, 2.5)),
    Feature("clipped_ratio", Stage.INPUT, "", "Share of clipped samples", _clip("clipped_ratio"),
            (1e-9, 1e-5, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.3)),
    Feature("speech_ratio", Stage.SPEECH, "", "Share of a clip that is speech", _clip("speech_ratio"), _RATIOS),
    Feature("leading_silence_s", Stage.SPEECH, "s", "Silence before speech", _clip("leading_silence_s"), _SILENCES_S),
    Feature("trailing_silence_s", Stage.SPEECH, "s", "Silence after speech", _clip("trailing_silence_s"),
            _SILENCES_S),
    Feature("gain_db", Stage.SPEECH, "dB", "Gain to the standard level", _clip("gain_db"), _steps(-20.0, 40.0, 2.5)),
    Feature("null_rate", Stage.TEXT, "", "Clips with speech that came out empty", _null),
    Feature("confidence", Stage.TEXT, "", "Probability that all of the text is right", _confidence, _RATIOS),
    Feature("words_per_s", Stage.TEXT, "1/s", "Words per second of speech", _words_per_s, _steps(0.5, 8.0, 0.25)),
    Feature("entropy", Stage.TEXT, "nat", "How undecided the network is", lambda record: record.entropy,
            _steps(0.02, 1.0, 0.02)),
    Feature("perplexity", Stage.TEXT, "", "How unlikely the language model finds the words",
            lambda record: record.perplexity,
            (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536)),
    Feature("no_results_rate", Stage.SEARCH, "", "Searches that found nothing", _no_results),
    Feature("out_of_catalog_rate", Stage.SEARCH, "", "Queries that no item answers well", _out_of_catalog),
)  # fmt: skip
BY_NAME = {feature.name: feature for feature in FEATURES}
