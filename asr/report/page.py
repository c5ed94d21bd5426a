"""The report as a folder: ``index.html``, ``report.json`` and the examples' pictures and sounds.

An `Analysis` in, files out. The page asks nothing of any server: style and script stand in it. What people said
and wrote is data: the templates escape it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.alignment import Edit, Kind
from asr.labels import summary
from asr.report import charts
from asr.report.analysis import Analysis
from asr.report.bootstrap import SAMPLES
from asr.report.confusions import Confusion
from asr.report.extra import need
from asr.report.media import Exhibit, Gallery
from asr.report.utterances import Utterance

SHOWN_PAIRS = 10  # confused pairs with pictures; the table lists more
BESIDE = 5  # words of the text on both sides of a confused pair
MANY = 12  # slices of a key beyond which a chart replaces the table
MOST_FINDINGS = 60  # rows of a table; report.json has all


@dataclass(frozen=True, slots=True)
class Piece:
    """A step of an alignment for people: what was said and what was heard, "" where nothing."""

    kind: Kind
    said: str
    heard: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An utterance as the page shows it."""

    utterance: Utterance
    pieces: tuple[Piece, ...]
    exhibit: Exhibit | None


def require() -> None:
    """Raises MissingPackageError without the extra ``report``: better before a long evaluation than after it."""
    for module in ("jinja2", "librosa", "matplotlib"):
        need(module)


def write(analysis: Analysis, folder: Path) -> Path:
    """Write all files; the path of the page. Raises MissingPackageError without the extra ``report``."""
    require()
    jinja2 = need("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("asr.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.undefined = jinja2.StrictUndefined
    environment.filters |= {"percent": percent, "count": "{:,}".format}
    folder.mkdir(parents=True, exist_ok=True)
    page = environment.get_template("index.html").render(**_context(analysis, Gallery(folder)))
    report = json.dumps(analysis.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(report + "\n", encoding="utf-8")
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def percent(share: float | None, digits: int = 1) -> str:
    """A share for people; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def pieces(utterance: Utterance, around: Edit | None = None) -> tuple[Piece, ...]:
    """The alignment, step by step; only the steps beside ``around`` if that is given."""
    shown = utterance.edits
    if around is not None:
        at = shown.index(around)
        shown = shown[max(0, at - BESIDE) : at + BESIDE + 1]
    return tuple(
        Piece(
            edit.kind,
            "" if edit.reference is None else utterance.said[edit.reference],
            "" if edit.hypothesis is None else utterance.heard[edit.hypothesis].text,
        )
        for edit in shown
    )


def _context(analysis: Analysis, gallery: Gallery) -> dict[str, Any]:
    forests = {key: parts for key, parts in analysis.slices.items() if len(parts) <= MANY}
    swarms = {key: charts.dots(parts) for key, parts in analysis.slices.items() if len(parts) > MANY}
    findings = analysis.findings
    return {
        "analysis": analysis,
        "draws": SAMPLES,
        "confused": [(pair, _examples(pair, gallery)) for pair in analysis.confused[:SHOWN_PAIRS]],
        "worst": [_shown(utterance, gallery) for utterance in analysis.worst],
        "versus": analysis.versus and _versus(analysis),
        "forests": [(key, parts, charts.scale(parts)) for key, parts in forests.items()],
        "swarms": swarms,
        "columns": [
            charts.error_rates(analysis.utterances),
            charts.positions(analysis.positions),
            *charts.measured(analysis.utterances),
        ],
        "sureness": [
            ("Words", analysis.words, charts.sureness(analysis.words.pairs)),
            ("Clips", analysis.clips, charts.sureness(analysis.clips.pairs)),
        ],
        "findings": findings and findings[:MOST_FINDINGS],
        "finding_counts": None if findings is None else summary(findings),
    }


def _examples(pair: Confusion, gallery: Gallery) -> Sequence[Shown]:
    return [
        Shown(
            example.utterance,
            pieces(example.utterance, example.edit),
            gallery.show(example.utterance, example.span),
        )
        for example in pair.examples
    ]


def _shown(utterance: Utterance, gallery: Gallery) -> Shown:
    return Shown(utterance, pieces(utterance), gallery.show(utterance, None))


def _versus(analysis: Analysis) -> dict[str, Any]:
    assert analysis.versus is not None
    return {
        way: [[Shown(u, pieces(u), None) for u in pair] for pair in pairs]
        for way, pairs in (("better", analysis.versus.better), ("worse", analysis.versus.worse))
    }
