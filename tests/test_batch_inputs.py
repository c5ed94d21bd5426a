"""``asr.batch.inputs`` and ``parquet.read_column``: what a job reads, and what names its clips have."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from asr.batch.inputs import Input, find
from asr.errors import OptionError

OUT = Path("out")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of several kinds at several depths; they need not be audio to be found by their suffix."""
    for name in ("b.wav", "a/c.FLAC", "a/song.m4a", "a/notes.txt", ".git/d.wav", "a/.e.wav", "out/f.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "a" / "no_suffix").write_bytes(b"fLaC and more")
    os.mkfifo(tmp_path / "pipe.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(name: str, column: str | None = None) -> list[str]:
    """The names of an INPUT's clips."""
    return [clip.audio for clip in find(name, OUT, column).inputs]


@pytest.mark.parametrize("name", [".", "../{}"])
def test_a_folder_is_searched_at_any_depth(folder: Path, name: str) -> None:
    """By suffix, also of formats that we do not read, or content; not hidden files, pipes, or the output."""
    found = find(name.format(folder.name), OUT)
    assert [clip.audio for clip in found.inputs] == ["a/c.FLAC", "a/no_suffix", "a/song.m4a", "b.wav"]
    assert found.root == folder.resolve()


@pytest.mark.usefixtures("folder")
def test_a_glob_names_from_its_first_wildcard() -> None:
    """What it matches, whatever it is, but no folder."""
    assert names("a/*") == ["c.FLAC", "no_suffix", "notes.txt", "song.m4a"]
    assert names("**/*.[wF]*") == ["a/c.FLAC", "b.wav", "out/f.wav", "pipe.wav"]
    assert find("a/*", OUT).root.name == "a"


def test_a_manifest_names_relative_to_itself(folder: Path) -> None:
    """In order of the names, none twice; what it says of other things is not looked at."""
    lines = [
        {"audio": "b.wav", "text": "x"},
        {"audio": "/nowhere/z.wav"},
        {"audio": "a/c.FLAC"},
        {"audio": "b.wav"},
    ]
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = find("list.jsonl", OUT)
    assert [clip.audio for clip in found.inputs] == ["/nowhere/z.wav", "a/c.FLAC", "b.wav"]
    assert found.inputs[0] == Input("/nowhere/z.wav")
    assert found.inputs[2].size == len("b.wav")


def test_a_column_of_a_parquet_file(folder: Path) -> None:
    """``audio`` or ``path`` unless another is named; one that is not there, or holds no text, is an error."""
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    table = pyarrow.table({"n": [1, 2], "path": ["b.wav", "a/c.FLAC"], "other": ["b.wav", None]})
    parquet.write_table(table, folder / "list.parquet")
    assert names("list.parquet") == ["a/c.FLAC", "b.wav"]
    with pytest.raises(OptionError, match="None in column 'other' is no path"):
        names("list.parquet", "other")
    with pytest.raises(OptionError, match="no column 'files' of paths; it has n, path, other"):
        names("list.parquet", "files")
    (folder / "broken.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(OptionError, match="is no Parquet file"):
        names("broken.parquet")


@pytest.mark.usefixtures("folder")
def test_one_file_is_a_job_too() -> None:
    """A single clip, by suffix or content."""
    assert names("a/no_suffix") == ["no_suffix"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["a/notes.txt", ".git", "*.mp3"])
def test_nothing_to_hear_is_bad_usage(name: str) -> None:
    """A text, an empty folder, a glob that matches nothing."""
    Path(".git/d.wav").unlink()
    with pytest.raises(OptionError):
        find(name, OUT)


def test_a_file_is_known_by_its_size_and_time_or_its_digest() -> None:
    """The digest decides where both have one."""
    assert Input("a", 1, 2).is_unchanged_since(Input("a", 1, 2, "x"))
    assert not Input("a", 1, 3).is_unchanged_since(Input("a", 1, 2))
    assert not Input("a", 2, 2).is_unchanged_since(Input("a", 1, 2))
    assert Input("a", 1, 3, "x").is_unchanged_since(Input("a", 1, 2, "x"))
    assert not Input("a", 1, 2, "y").is_unchanged_since(Input("a", 1, 2, "x"))
