"""``asr.batch.outputs``, ``places`` and ``shards``: what is made of rows, and where it is put."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.batch import outputs, shards
from asr.batch.inputs import Input
from asr.batch.places import places
from asr.batch.shards import Line
from asr.formats import jsonl, row, srt
from asr.transcript import ClipStats, NullReason, Span, Transcript, Word

CLIP = ClipStats(2.5, -20.5, -5.5, 40.0, 0.0, 0.8, 0.25, 0.25)
HELLO = Transcript(
    "hello you",
    (Word("hello", Span(160, 8000), 0.9), Word("you", Span(24_000, 32_000), 0.75)),
    0.8,
    None,
    CLIP,
    "m@1",
    "en",
)
SILENT = Transcript("", (), 0.0, NullReason.NO_SPEECH, CLIP, "m@1", "en")
ROWS = [
    row("a/hello.wav", HELLO),
    row("a/hello.mp3", HELLO),
    row("b.wav", SILENT),
    row("c.wav", ValueError("no")),
]


def make(folder: Path, made: list[dict[str, Any]], per_shard: int = 3) -> int:
    """Shards of these rows; how many."""
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    runs = [made[at : at + per_shard] for at in range(0, len(made), per_shard)]
    for number, run in enumerate(runs):
        clips = [Input(each["audio"]) for each in run]
        lines = [Line(jsonl(each).encode()) for each in run]
        shards.write(folder / "shards", shards.stem(number), "settings", clips, lines)
    return len(runs)


def files(folder: Path) -> list[str]:
    """Names of all files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_one_file_of_all_rows(tmp_path: Path) -> None:
    """In the order of the shards, byte for byte."""
    outputs.write(tmp_path, ["jsonl"], make(tmp_path, ROWS), per_word=False)
    assert (tmp_path / "transcripts.jsonl").read_text() == "".join(map(jsonl, ROWS))


def test_parquet_has_the_same_rows(tmp_path: Path) -> None:
    """Typed columns; what a row lacks is null; the same bytes every time."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    contents = []
    for _ in range(2):
        outputs.write(tmp_path, ["parquet"], make(tmp_path, ROWS), per_word=False)
        contents.append((tmp_path / "transcripts.parquet").read_bytes())
    assert contents[0] == contents[1]
    (tmp_path / "transcripts.parquet").unlink()
    outputs.write(tmp_path, ["parquet"], make(tmp_path, ROWS), per_word=False)
    table = parquet.read_table(tmp_path / "transcripts.parquet")
    found = [{name: value for name, value in each.items() if value is not None} for each in table.to_pylist()]
    expected = [{name: value for name, value in each.items() if value is not None} for each in ROWS]
    assert found == expected
    assert str(table.schema.field("duration").type) == "double"


def test_a_file_a_clip_mirrors_the_folders(tmp_path: Path) -> None:
    """Whisper's names; two clips of one name keep their suffixes; an error has no subtitles, but JSON."""
    outputs.write(tmp_path, ["srt", "json"], make(tmp_path, ROWS), per_word=False)
    both = [f"{name}.{kind}" for name in ("a/hello.mp3", "a/hello.wav", "b") for kind in ("json", "srt")]
    assert files(tmp_path / "files") == [*both, "c.json"]
    assert (tmp_path / "files" / "a" / "hello.wav.srt").read_text() == srt(HELLO)
    assert json.loads((tmp_path / "files" / "c.json").read_text()) == ROWS[3]


def test_files_of_clips_that_are_gone_go_too(tmp_path: Path) -> None:
    """With their folder, and the suffix that was there for the sake of another; what is not ours stays."""
    outputs.write(tmp_path, ["srt"], make(tmp_path, ROWS), per_word=False)
    (tmp_path / "files" / "mine.pdf").write_text("x")
    outputs.write(tmp_path, ["srt"], make(tmp_path, ROWS[1:3]), per_word=False)
    assert files(tmp_path / "files") == ["a/hello.srt", "b.srt", "mine.pdf"]
    outputs.write(tmp_path, ["srt"], make(tmp_path, ROWS[2:3]), per_word=False)
    assert not (tmp_path / "files" / "a").exists()


def test_what_is_unchanged_is_left_alone(tmp_path: Path) -> None:
    """A file that has its content keeps its time of change: a second run wakes no one who watches."""
    paths = [tmp_path / "transcripts.jsonl", tmp_path / "files" / "b.txt"]
    times = []
    for _ in range(2):
        outputs.write(tmp_path, ["jsonl", "txt"], make(tmp_path, ROWS), per_word=False)
        times.append([path.stat().st_mtime_ns for path in paths])
    assert times[0] == times[1]


def test_a_row_becomes_the_transcript_that_it_was() -> None:
    """But for what rows do not say."""
    assert outputs.transcript(ROWS[0]) == HELLO
    assert outputs.transcript(ROWS[2]) == SILENT


def test_no_clip_is_written_outside_the_folder() -> None:
    """Absolute names and names that climb."""
    assert places(["/etc/x.wav", "../y.wav", "a/../../z.wav"]) == {
        "/etc/x.wav": "etc/x",
        "../y.wav": "__up__/y",
        "a/../../z.wav": "a/__up__/__up__/z",
    }


NAMES = st.lists(st.text("ab./", min_size=1, max_size=6), unique=True, max_size=8)


@given(NAMES)
def test_no_two_clips_share_a_place(names: list[str]) -> None:
    """Whatever they are called."""
    found = places(names)
    assert set(found) == set(names)
    assert len(set(found.values())) == len(names)
    files = [f"{place}.srt" for place in found.values()]
    assert not any(".." in file.split("/") or file.startswith("/") for file in files)


def test_places_do_not_depend_on_the_order() -> None:
    """They follow from the set of names alone."""
    names = ["a.wav", "a.mp3", "a.wav.flac", "b.wav"]
    assert places(names) == places(names[::-1])
    assert places(names)["b.wav"] == "b"


def test_shards_are_cut_by_number_and_size() -> None:
    """At most so many clips, and 64 MiB of files but for a single larger one."""
    sizes = [1, 1, 1, shards.BYTES, shards.BYTES + 1, None, 1]
    clips = [Input(str(number), size) for number, size in enumerate(sizes)]
    assert [[clip.audio for clip in run] for run in shards.cut(clips, 2)] == [
        ["0", "1"],
        ["2"],
        ["3"],
        ["4"],
        ["5", "6"],
    ]
    assert list(shards.cut([], 2)) == []


def test_a_shard_is_done_when_its_record_fits(tmp_path: Path) -> None:
    """Rows of another size, other rows, no record, or one cut short: not done."""
    make(tmp_path, ROWS)
    folder = tmp_path / "shards"
    record = shards.read(folder, "00000")
    assert record is not None
    assert [clip.audio for clip in record.inputs] == [each["audio"] for each in ROWS[:3]]
    whole = (folder / "00000.jsonl").read_bytes(), (folder / "00000.json").read_bytes()
    for rows, text in ((whole[0][:-1], whole[1]), (whole[0].upper(), whole[1]), (whole[0], whole[1][:50])):
        (folder / "00000.jsonl").write_bytes(rows)
        (folder / "00000.json").write_bytes(text)
        assert shards.read(folder, "00000") is None
    (folder / "00000.json").unlink()
    assert shards.read(folder, "00000") is None
