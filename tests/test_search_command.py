"""``voicesearch search``: typed and spoken queries, tables and rows, exit codes."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from asr.cli import guarded
from asr.commands.command import BAD_USAGE, DONE, SOME_FAILED

pytest.importorskip("rapidfuzz", reason="needs the extra serve")

from serving.commands.search import COMMAND

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made catalogues go where they are thrown away, once for all tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def jackets(tmp_path: Path) -> str:
    """A catalogue of what a sample clip asks for, and something else."""
    path = tmp_path / "clothes.jsonl"
    rows = [
        {"id": "j1", "title": "Red Jacket", "facets": {"colour": "red"}},
        {"id": "s1", "title": "Running Shoes"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def search(*arguments: str) -> int:
    """The exit code of ``voicesearch search``."""
    parser = ArgumentParser("search")
    COMMAND.add_arguments(parser)
    return guarded(lambda: COMMAND.run(parser.parse_args(arguments)))


def rows(capsys: pytest.CaptureFixture[str]) -> Any:
    """What was printed, as JSON."""
    return json.loads(capsys.readouterr().out)


def test_a_typed_query_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The query, then a line a result: score, title, id."""
    assert search("--text", "play moby dick please", "--catalog", "books", "-k", "1") == DONE
    printed = capsys.readouterr()
    assert printed.out == "play moby dick please\n  1.00  Moby-Dick  moby-dick\n"
    assert printed.err == ""


def test_a_typed_query_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object: the query and its results with the items' own fields; why only for those who ask."""
    assert search("--text", "large latte", "--catalog", "cafe", "-k", "1", "--json") == DONE
    row = rows(capsys)
    assert row["query"] == "large latte"
    assert row["nothing_found"] is None
    (result,) = row["results"]
    assert list(result) == ["id", "title", "aliases", "facets", "popularity", "score"]
    assert (result["id"], result["facets"]["roast"]) == (
        "latte",
        ["light roast", "medium roast", "dark roast"],
    )
    assert search("--text", "large latte", "--catalog", "cafe", "-k", "1", "--json", "--why") == DONE
    assert rows(capsys)["results"][0]["why"]["query"] == "large latte"


def test_several_typed_queries_are_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order given; what finds nothing says so, in the row and on stderr."""
    assert (
        search("--text", "dracula", "--text", "what is the weather", "--catalog", "books", "-f", "json")
        == DONE
    )
    printed = capsys.readouterr()
    first, second = json.loads(printed.out)
    assert (first["query"], first["results"][0]["id"]) == ("dracula", "dracula")
    assert (second["results"], second["nothing_found"]) == ([], "no_match")
    assert "'what is the weather': nothing in the catalogue is near enough (no_match)" in printed.err


def test_shipped_catalogues_are_searched_together(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --catalog all of them are."""
    assert search("--text", "espresso", "--text", "dracula", "-f", "jsonl", "-k", "1") == DONE
    found = [json.loads(line)["results"][0]["id"] for line in capsys.readouterr().out.splitlines()]
    assert found == ["espresso", "dracula"]


@pytest.mark.usefixtures("transcriber")
def test_clips_are_searched_for(jackets: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row a clip: what was heard, with its words, what it found, and the model; the others go on after an error."""
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF of no use")
    names = [str(SAMPLES / "red_jacket.wav"), str(broken), str(SAMPLES / "silence.wav")]
    assert search(*names, "--catalog", jackets, "--json") == SOME_FAILED
    printed = capsys.readouterr()
    found, failed, silent = json.loads(printed.out)
    assert list(found) == ["audio", "transcript", "results", "nothing_found", "model"]
    assert list(found["transcript"]) == ["text", "confidence", "words", "null_reason"]
    assert [result["id"] for result in found["results"]][:1] == ["j1"]
    assert found["model"].startswith("en-small@")
    assert (failed["audio"], list(failed)) == (str(broken), ["audio", "error"])
    assert (silent["transcript"]["null_reason"], silent["results"]) == ("no_speech", [])
    assert silent["nothing_found"] == "empty_query"
    assert "silence.wav: no speech (no_speech)" in printed.err
    assert "1 of 3 clips failed" in printed.err


@pytest.mark.usefixtures("transcriber")
def test_clips_as_a_table(jackets: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The clip's name and what was heard, then results."""
    assert search(str(SAMPLES / "red_jacket.wav"), "--catalog", jackets) == DONE
    head, best = capsys.readouterr().out.splitlines()
    assert head.startswith("red_jacket.wav: ")
    assert head.endswith(" red jacket")
    assert best.split() == [best.split()[0], "Red", "Jacket", "j1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "search needs audio files, or --text QUERY"),
        (("a.wav", "--text", "dracula"), "one of the two"),
        (("--text", "dracula", "-k", "0"), "-k is 0"),
        (("--text", "dracula", "--catalog", "films"), "no catalogue 'films'"),
        (("a.wav", "--catalog", "cafe", "--catalog-weight", "1"), "catalogue weight is 1.0"),
        (("--text", "dracula", "--model", "none-such"), "none-such"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names what was seen; nothing on stdout."""
    assert search(*arguments) == BAD_USAGE
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
