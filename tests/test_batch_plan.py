"""``asr.batch.plan``: which rows are kept, and what is left to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.batch import plan, shards
from asr.batch.inputs import Input
from asr.batch.shards import Line

A, B, C, D = (Input(name, 10, 1) for name in "abcd")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Shards of two clips: a and b, c and d; d could not be read, c's disk was away."""
    folder = tmp_path / "shards"
    folder.mkdir()
    shards.write(folder, "00000", "s", [A, B], [Line(b'"a"\n', 1.0), Line(b'"b"\n', 2.0)])
    errors = [Line(b'"c"\n', error="OSError"), Line(b'"d"\n', error="CorruptAudioError")]
    shards.write(folder, "00001", "s", [C, D], errors)
    return tmp_path


def names(path: Path) -> list[str]:
    """Of the files in a folder."""
    return sorted(each.name for each in path.iterdir())


def test_what_is_done_stays_and_what_may_pass_is_tried_again(output: Path) -> None:
    """A clip that the content of its file is not to blame for; the shard's other rows are kept."""
    made = plan.make(output, [A, B, C, D], "s", 2)
    assert (made.count, made.done.clips, made.done.audio_s) == (2, 2, 3.0)
    assert [shard.number for shard in made.todo] == [1]
    assert str(made.counts) == "4 clips: 3 done before, 0 changed, 0 new, 1 to be tried again"
    assert made.earlier("d") == Line(b'"d"\n', 0.0, "CorruptAudioError")
    assert made.earlier("c") is None


def test_rows_move_when_shards_do(output: Path) -> None:
    """A clip before all others: every later row has another place, and none is heard again."""
    made = plan.make(output, [Input("Z", 5, 5), A, B, D], "s", 2)
    assert str(made.counts) == "4 clips: 3 done before, 0 changed, 1 new, 1 no longer there"
    assert [made.earlier(name) for name in "Za"] == [None, Line(b'"a"\n', 1.0)]
    assert names(output / "shards") == []
    assert len(names(output / "previous")) == 4
    again = plan.make(output, [Input("Z", 5, 5), A, B, D], "s", 2)
    assert again == made  # a kill here costs nothing
    plan.finish(output)
    assert names(output) == ["shards"]


def test_rows_of_other_settings_are_no_use(output: Path) -> None:
    """They are deleted."""
    made = plan.make(output, [A, B, C, D], "t", 2)
    assert str(made.counts) == "4 clips: 0 done before, 0 changed, 4 new"
    assert names(output / "shards") == []
    assert not (output / "previous").exists()


@pytest.mark.parametrize("lost", ["00001.json", "00001.jsonl"])
def test_half_a_shard_is_none(output: Path, lost: str) -> None:
    """What a kill leaves between two renames, and files that were not finished, are cleared away."""
    (output / "shards" / lost).unlink()
    (output / "shards" / "00002.jsonl.tmp").write_text("half")
    made = plan.make(output, [A, B], "s", 2)
    assert made.todo == ()
    assert names(output / "shards") == ["00000.json", "00000.jsonl"]
