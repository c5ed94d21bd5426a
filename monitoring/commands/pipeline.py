"""``voicesearch monitor pipeline``: every stage's numbers side by side, and where something moved."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime

from asr.commands.command import DONE, Command
from monitoring.commands.times import moment_of, span_of
from monitoring.commands.where import add_store, open_store
from monitoring.views.pipeline import Line, Point, View, view

BARS = "▁▂▃▄▅▆▇█"


def add_arguments(parser: ArgumentParser) -> None:
    """Which stretch, and of what."""
    add_store(parser)
    parser.add_argument(
        "--since", default="24h", metavar="TIME", help="how far back, or from when (default: 24h)"
    )
    parser.add_argument("--step", default="1h", metavar="1h", help="length of a step (default: 1h)")
    parser.add_argument(
        "--reference", default="7d", metavar="7d", help="how long before it is what is usual (default: 7d)"
    )
    parser.add_argument("--model", help="only what this model served (NAME@DIGEST)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: Namespace, now: datetime | None = None) -> int:
    """Print it. ``now``: for tests."""
    until = now or datetime.now(UTC)
    step = span_of(args.step)
    since = moment_of(args.since, until)
    steps_before = -(-span_of(args.reference) // step)
    with open_store(args) as store:
        rows = store.rollups(since - steps_before * step, until, step)
    made = view((row for row in rows if args.model in (None, row[1].model)), since, until, step)
    if args.json:
        print(json.dumps(made.as_dict(), indent=2))
    else:
        print("\n".join(table(made)))
    return DONE


def table(made: View) -> Iterator[str]:
    """For a terminal: a line a quantity, with what is usual, the last value, the steps as bars, and what moved when."""
    width = max(len(made.times), 12)
    yield (
        f"{sum(made.requests)} requests in {len(made.times)} steps of {made.step}, from "
        f"{made.times[0]:%Y-%m-%d %H:%M} UTC. A step that moved is marked below it."
    )
    yield ""
    yield f"{'':10}{'':22}{'usual':>10}{'last':>10}  {'oldest to newest':{width}}  moved"
    stage = ""
    for line in made.lines:
        if not any(point.count for point in line.points):
            continue
        name = line.quantity.stage.value if line.quantity.stage else "speed"
        shown = name if name != stage else ""
        stage = name
        last = next((point for point in reversed(line.points) if point.count), None)
        label = f"{line.quantity.name} {line.quantity.unit}".strip()
        yield (
            f"{shown:10}{label:22}{_number(line.usual):>10}{_number(None if last is None else last.value):>10}  "
            f"{_bars(line):{width}}  {_moved(made, line)}"
        ).rstrip()
        if line.since is not None:
            yield f"{'':54}{''.join(_mark(point) for point in line.points)}".rstrip()


def _moved(made: View, line: Line) -> str:
    if line.since is None:
        return ""
    first = line.points[line.since]
    assert first.z is not None, "it has moved"
    return f"{'up' if first.z > 0 else 'down'} at {made.times[line.since]:%a %H:%M} (z = {first.z:+.0f})"


def _mark(point: Point) -> str:
    return "^" if point.moved and (point.z or 0) > 0 else "v" if point.moved else " "


def _bars(line: Line) -> str:
    values = [point.value for point in line.points if point.value is not None]
    low, high = min(values), max(values)
    # What is usual is on the scale, too: or a change of a thousandth would fill it.
    if line.usual is not None:
        low, high = (
            min(low, 0.9 * line.usual, 1.1 * line.usual),
            max(high, 0.9 * line.usual, 1.1 * line.usual),
        )
    return "".join(_bar(point.value, low, high) for point in line.points)


def _bar(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "·"
    share = (value - low) / (high - low) if high > low else 0.5
    return BARS[min(int(share * len(BARS)), len(BARS) - 1)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


VERB = Command(
    "pipeline", "every stage's numbers side by side, and where something moved", add_arguments, run
)
