"""Charts as numbers: what the page's templates draw. Heights and places are shares in [0, 1] of the chart.

Utterances and confidences in; columns, mirrored columns and dots out. There is no markup here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr.report.slices import RANGES, Ranges, Slice
from asr.report.utterances import Utterance

RATE_EDGES = (0.001, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
RATE_NAMES = ("0", "<10", "<20", "<30", "<50", "<75", "<100", "100+")
MIRROR_BINS = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column of stacked ``parts``; ``note`` is what a pointer over it tells."""

    label: str
    parts: tuple[float, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Columns:
    """A chart of columns. ``legend`` names the parts, bottom first; ``top`` is the value of the full height."""

    title: str
    caption: str
    legend: tuple[str, ...]
    columns: tuple[Column, ...]
    top: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A slice in a chart of many: ``value`` and whisker as shares of the height."""

    name: str
    value: float
    low: float | None
    high: float | None
    note: str


def error_rates(utterances: Sequence[Utterance]) -> Columns:
    """How many clips have which error rate: most models are perfect on many and lost on a few."""
    counts = [0] * len(RATE_NAMES)
    for utterance in utterances:
        counts[sum(utterance.rate >= edge for edge in RATE_EDGES)] += 1
    top = max(counts, default=0) or 1
    return Columns(
        "Errors in a clip",
        "clips by their word error rate, %",
        (),
        tuple(
            Column(name, (count / top,), f"{name} %: {count} clips")
            for name, count in zip(RATE_NAMES, counts, strict=True)
        ),
        f"{top} clips",
    )


def positions(rates: Sequence[float | None]) -> Columns:
    """Share of words missed by tenth of the utterance."""
    top = max((rate for rate in rates if rate is not None), default=0.0) or 1.0
    return Columns(
        "Where in the utterance",
        "share of words missed, first to last tenth",
        (),
        tuple(
            Column(str(at), ((rate or 0.0) / top,), f"{at}. tenth: {(rate or 0.0):.1%}")
            for at, rate in enumerate(rates, 1)
        ),
        f"{top:.0%}",
    )


def measured(utterances: Sequence[Utterance]) -> list[Columns]:
    """How the clips are spread over duration, level, noise and speaking rate; with and without errors."""
    return [chart for ranges in RANGES if (chart := _spread(utterances, ranges)) is not None]


def sureness(pairs: Sequence[tuple[float, bool]], bins: int = MIRROR_BINS) -> tuple[Column, ...]:
    """Right above and wrong below the axis, by confidence; each as a share of its own highest column."""
    counts = {True: [0] * bins, False: [0] * bins}
    for sure, right in pairs:
        counts[right][min(int(sure * bins), bins - 1)] += 1
    top = {right: max(counts[right]) or 1 for right in counts}
    return tuple(
        Column(
            f"{at / bins:.2f}",
            (counts[True][at] / top[True], counts[False][at] / top[False]),
            f"{at / bins:.2f} to {(at + 1) / bins:.2f}: {counts[True][at]} right, {counts[False][at]} wrong",
        )
        for at in range(bins)
    )


def dots(parts: Sequence[Slice]) -> tuple[tuple[Dot, ...], float]:
    """Slices by rising error rate, and the rate at the chart's top."""
    rated = sorted(
        ((part.score.wer, part) for part in parts if part.score.wer is not None), key=lambda pair: pair[0]
    )
    top = scale([part for _, part in rated])
    return tuple(
        Dot(
            part.value,
            min(rate / top, 1.0),
            None if part.interval is None else min(part.interval.low / top, 1.0),
            None if part.interval is None else min(part.interval.high / top, 1.0),
            f"{part.value}: {rate:.1%} of {part.score.words.reference_length} words",
        )
        for rate, part in rated
    ), top


def scale(parts: Sequence[Slice]) -> float:
    """An error rate that holds all rates and most whiskers: a round one, at most 100 %."""
    highest = max(((part.score.wer or 0.0) for part in parts), default=0.0)
    whisker = max((part.interval.high for part in parts if part.interval), default=0.0)
    wanted = min(max(highest * 1.05, min(whisker, highest * 1.8)), 1.0)
    return next((top for top in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8) if wanted <= top), 1.0)


def _spread(utterances: Sequence[Utterance], ranges: Ranges) -> Columns | None:
    places: dict[tuple[int, str], list[Utterance]] = {}
    value: Callable[[Utterance], float | None] = ranges.of
    for utterance in utterances:
        if (number := value(utterance)) is not None:
            places.setdefault(ranges.name(number), []).append(utterance)
    if not places:
        return None
    top = max(map(len, places.values()))
    columns = []
    for (place, name), inside in sorted(places.items()):
        wrong = sum(utterance.errors > 0 for utterance in inside)
        label = f"{ranges.edges[place]:g}" if place < len(ranges.edges) else "more"
        columns.append(
            Column(
                label if place == len(ranges.edges) else f"<{label}",
                ((len(inside) - wrong) / top, wrong / top),
                f"{name}: {len(inside)} clips, {wrong} with errors",
            )
        )
    return Columns(
        ranges.key.capitalize(),
        f"clips, {ranges.unit}",
        ("all right", "with errors"),
        tuple(columns),
        f"{top} clips",
    )
