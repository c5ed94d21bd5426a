"""``voicesearch monitor drift``: what moved since the reference was frozen, and whether it could be chance."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from asr.commands.command import DONE, Command
from monitoring.aftermath import Aftermath
from monitoring.commands.times import moment_of
from monitoring.commands.where import add_store, open_store
from monitoring.drift.change import Change, Changes
from monitoring.drift.judge import judge
from monitoring.drift.profile import DEFAULT, Profile
from monitoring.drift.report import DriftLimits, DriftReport, amount
from monitoring.drift.verdict import Verdict, verdict
from monitoring.drift.windows import Size, last
from monitoring.errors import MissingPackageError, ProfileError, WindowError
from monitoring.outcomes import was_shown
from monitoring.record import Record
from monitoring.store import EventStore


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    add_store(parser)
    parser.add_argument("--name", default=DEFAULT, help="of the reference (default %(default)s)")
    parser.add_argument(
        "--window",
        default="1000",
        metavar="SIZE",
        help="records (1000), a time (1h, 7d), or at most both (1000,1h); three are judged (default %(default)s)",
    )
    parser.add_argument("--until", metavar="TIME", help="end of the newest window (default: now)")
    parser.add_argument("--json", action="store_true", help="the newest window as JSON")


def run(args: Namespace) -> int:
    """Judge the newest windows, one after the other; print the last."""
    now = datetime.now(UTC)
    until = now if args.until is None else moment_of(args.until, now)
    size, limits = Size.parse(args.window), DriftLimits()
    with open_store(args) as store:
        profile = _reference(store, args.name)
        watch = _Watch()
        records = watch.through(filter(was_shown, store.records(profile.until, until)))
        windows = [window for window in last(records, size, until, limits.of) if window]
        watch.follow(store.followed(profile.until, until))
    if not windows:
        raise WindowError(
            f"there are no records from {profile.until.isoformat()}, the end of the reference {args.name!r}, to "
            f"{until.isoformat()} in windows of {args.window}: wait for some, or freeze an earlier reference"
        )
    reports: list[DriftReport] = []
    for window in windows:
        reports.append(judge(profile, window, [report.drifted for report in reports], limits))
    report = reports[-1]
    changes = [change for change in watch.seen if report.since is not None and change.at >= report.since]
    said = verdict(report, changes)
    if args.json:
        changed = [change.as_dict() for change in changes]
        print(json.dumps({**report.as_dict(), "changes": changed, "verdict": said.as_dict()}))
    else:
        print("\n".join(_lines(report, said, len(windows))))
    return DONE


def _reference(store: EventStore, name: str) -> Profile:
    profile = store.profile(name)
    if profile is None:
        there = ", ".join(store.profile_names()) or "none"
        raise ProfileError(
            f"there is no reference {name!r} (there are: {there}): make one with voicesearch monitor freeze"
        )
    return profile


class _Watch:
    """Changes in outcomes, seen as records pass by. Without river there are none, and it says so."""

    def __init__(self) -> None:
        self.seen: list[Change] = []
        self._changes: Changes | None = None
        try:
            self._changes = Changes()
        except MissingPackageError as error:
            print(f"voicesearch: {error}; drift is judged without them", file=sys.stderr)

    def through(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if self._changes is not None:
                self.seen += self._changes.record(record)
            yield record

    def follow(self, rows: Iterable[Aftermath]) -> None:
        for row in rows:
            if self._changes is not None:
                self.seen += self._changes.followed(row)


def _lines(report: DriftReport, said: Verdict, windows: int) -> Iterator[str]:
    assert report.since is not None, "windows with records have times"
    assert report.until is not None
    yield (
        f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC: {report.records:,} records, "
        f"{report.sittings:,} sittings, against {report.profile} ({report.digest[:12]})"
    )
    row = "{:8}{:21}{:>7}{:>13}{:>13}{:>8}{:>8}{:>9}{:>8}{:>8}  {}".format
    yield row("stage", "feature", "n", "was", "is", "KS", "limit", "p", "PSI", "JS", "")
    for one in report.features:
        mark = "drifted" if one.drifted else "too small to matter" if one.significant else ""
        yield row(
            one.feature.stage.value,
            one.feature.name,
            one.n,
            amount(one.feature, one.before),
            amount(one.feature, one.now),
            f"{one.score:.3f}",
            f"{one.threshold:.3f}",
            f"{one.p:.2g}",
            f"{one.psi:.3f}",
            f"{one.js:.3f}",
            mark + (", persists" if one.persistent else ""),
        ).rstrip()
    for name, reason in report.not_judged:
        yield f"{'':8}{name:21}not judged: {reason}"
    yield (
        f"One window in {1 / report.rate:.0f} without drift has a feature beyond its limit; "
        f"an alarm needs the same one in 2 of 3 windows ({windows} judged)."
    )
    yield said.words


VERB = Command("drift", "what moved since the reference, and whether it could be chance", add_arguments, run)
