"""The sample clips that ship: the manifest tells the truth about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.audio import decode
from asr.loudness import clipped_ratio, rms_dbfs
from asr.transcript import SAMPLE_RATE_HZ, NullReason

DATA = Path(__file__).parent.parent / "data"
SAMPLES = DATA / "samples"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (SAMPLES / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
]


def row_of(name: str) -> dict[str, Any]:
    """The manifest's row of one clip."""
    return next(row for row in ROWS if row["audio"] == name)


def test_manifest_lists_exactly_the_files() -> None:
    """No clip without a row, no row without a clip, in order."""
    files = sorted(path.name for path in SAMPLES.iterdir() if path.name != "manifest.jsonl")
    assert [row["audio"] for row in ROWS] == files


def test_readme_says_how_each_was_made() -> None:
    """Every clip, and its text, stands in the table of data/README.md."""
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert [
        row["audio"] for row in ROWS if f"| `{row['audio']}` | {row['text']}".rstrip() not in readme
    ] == []


def test_there_are_enough_of_each_kind_in_little_space() -> None:
    """At least 14 spoken queries, 6 clips without text, 1.5 MB in all."""
    assert sum(row["text"] != "" for row in ROWS) >= 14
    assert sum(row["text"] == "" for row in ROWS) >= 6
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 1_500_000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["audio"]))
def test_clip_decodes_to_its_duration(row: dict[str, Any]) -> None:
    """Every clip decodes, as long as its row says within a millisecond."""
    samples = decode(SAMPLES / row["audio"])
    assert len(samples) / SAMPLE_RATE_HZ == pytest.approx(row["duration"], abs=1.1e-3)
    assert float(np.abs(samples).max()) <= 1.01  # a lossy codec may overshoot a little


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["audio"]))
def test_text_is_empty_exactly_with_a_null_reason(row: dict[str, Any]) -> None:
    """Either a text in lower-case words, or a reason that the runtime knows."""
    assert (row["text"] == "") == (row["null_reason"] is not None)
    assert row["text"] == row["text"].lower()
    if row["null_reason"] is not None:
        NullReason(row["null_reason"])


def test_named_conditions_hold() -> None:
    """Silence is silent, the quiet clip is quiet, the clipped one is clipped, the long edges are quiet."""
    assert not decode(SAMPLES / "silence.wav").any()
    assert rms_dbfs(decode(SAMPLES / "quiet_50dbfs.flac")) == pytest.approx(-53.0, abs=3.0)
    assert clipped_ratio(decode(SAMPLES / "clipped_12db.flac")) > 0.01
    edges = decode(SAMPLES / "long_edges.flac")
    assert rms_dbfs(edges[:SAMPLE_RATE_HZ]) < -60 > rms_dbfs(edges[-SAMPLE_RATE_HZ:])
    assert row_of("click_30ms.wav")["duration"] == 0.03
