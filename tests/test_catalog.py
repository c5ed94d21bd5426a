"""``asr.catalog``, ``asr.catalog_build`` and ``asr.number_words``: items to a folder, and a folder that was changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr import catalog
from asr.bundle import available
from asr.catalog_build import (
    DEFAULT_CARRIERS,
    Carrier,
    Item,
    build,
    carrier,
    count_sentences,
    fill,
    read_carriers,
    read_items,
    spoken,
)
from asr.cli import main
from asr.errors import CatalogDigestError, CatalogError, OptionError
from asr.number_words import spell_out

_TOKENS = ("_", "P", "L", "EY", "K", "AE", "T")
_SOUNDS = {"play": ("P", "L", "EY"), "cat": ("K", "AE", "T"), "lake": ("L", "EY", "K")}
_ITEMS = [Item("1", ("cat",), popularity=3.0), Item("2", ("lake",))]


def _pronounce(word: str) -> list[tuple[str, ...]]:
    return [_SOUNDS[word]] if word in _SOUNDS else []


def _written(folder: Path) -> catalog.Catalog:
    carriers = [Carrier("{title}"), Carrier("play {title}", 2.0)]
    return catalog.write(folder, build(_ITEMS, carriers, _TOKENS, _pronounce, 0.25))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("99 Problems", "ninety nine problems"),
        ("The 3rd Man (1999)", "the third man nineteen ninety nine"),
        ("Beyoncé & Jay-Z’s", "beyonce and jay z's"),
        ("Søren Łukasz, Straße", "soren lukasz strasse"),
        ("Route 007, 1,500 km, 2.5", "route zero zero seven one thousand five hundred km two point five"),
    ],
)
def test_written_text_becomes_words(written: str, said: str) -> None:
    """Numbers, ranks, years, accents and signs as a person says them."""
    assert spoken(written) == said


def test_a_number_too_long_to_be_one_is_read_by_digit() -> None:
    """A million has seven digits, and so do telephone numbers."""
    assert spell_out("5550123").split() == "five five five zero one two three".split()  # noqa: SIM905 - as it reads


def test_sentences_weigh_by_popularity_and_carrier() -> None:
    """The share of a sentence is its item's times its carrier's."""
    counted = count_sentences(_ITEMS, [Carrier("{title}"), Carrier("play {title}", 2.0)])
    assert counted == {"cat": 3.0, "play cat": 6.0, "lake": 1.0, "play lake": 2.0}


def test_facets_share_the_weight_of_their_carrier() -> None:
    """Two colours: each gets half, with the article that fits; an item without a colour has no such sentence."""
    items = [Item("1", ("jacket",), {"colour": ("orange", "red")}), Item("2", ("cat",))]
    assert count_sentences(items, [Carrier("find {a} {colour} {title}")]) == {
        "find an orange jacket": 0.5,
        "find a red jacket": 0.5,
    }


def test_too_many_fillings_are_drawn() -> None:
    """No more sentences than asked for, the same ones every time, and no weight lost."""
    items = [Item("1", ("cat",), {"n": tuple(f"n{letter}" for letter in "abcdefghij")})]
    drawn = count_sentences(items, [Carrier("{n} {title} {n}")], limit=7)
    assert drawn == count_sentences(items, [Carrier("{n} {title} {n}")], limit=7)
    assert 1 < len(drawn) <= 7
    assert sum(drawn.values()) == pytest.approx(1.0)


def test_carriers_that_fit_nothing_are_refused() -> None:
    """The error names the facets that were asked for."""
    with pytest.raises(OptionError, match="colour"):
        count_sentences(_ITEMS, [Carrier("{colour} {title}")])


def test_slots_are_filled_in_order() -> None:
    """Also where a slot comes twice."""
    assert fill("{a} {x} or {x}", ["apple", "pear"]) == "an apple or pear"


def test_default_carriers_are_carriers() -> None:
    """Each passes the check that a person's own get."""
    assert [carrier(text).text for text in DEFAULT_CARRIERS] == DEFAULT_CARRIERS


def test_carriers_are_read_with_their_weights(tmp_path: Path) -> None:
    """A weight and a tab may come before; the error names the line."""
    path = tmp_path / "carriers.txt"
    path.write_text("# comment\n2.5\tplay {title}\n\nfind {title}\n", encoding="utf-8")
    assert read_carriers(path) == [Carrier("play {title}", 2.5), Carrier("find {title}")]
    path.write_text("play {title}\nPlay {title}!\n", encoding="utf-8")
    with pytest.raises(OptionError, match=r"line 2.*'Play'"):
        read_carriers(path)


def test_items_are_read(tmp_path: Path) -> None:
    """Aliases, facets with one value or several, popularity."""
    path = tmp_path / "items.jsonl"
    row = {
        "id": 7, "title": "Big Cat", "aliases": ["Cat"], "facets": {"size": "L", "colour": ["Red", "Blue"]},
        "popularity": 2,
    }  # fmt: skip
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    facets = {"size": ("l",), "colour": ("red", "blue")}
    assert read_items(path) == [Item("7", ("big cat", "cat"), facets, 2.0)]


@pytest.mark.parametrize(
    "line",
    ['{"id": 1}', "[]", '{"id": 1, "title": "!"}', '{"id": 1, "title": "a", "popularity": 0}', "nonsense"],
)
def test_what_is_no_item_is_refused(line: str, tmp_path: Path) -> None:
    """The error names the line."""
    path = tmp_path / "items.jsonl"
    path.write_text('{"id": 0, "title": "cat"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(OptionError, match="line 2"):
        read_items(path)


def test_words_that_nobody_can_pronounce_are_named() -> None:
    """Without a pronunciation a word cannot be heard."""
    with pytest.raises(OptionError, match="no pronunciation of dog"):
        build([Item("1", ("dog",))], [Carrier("play {title}")], _TOKENS, _pronounce)


def test_a_catalogue_comes_back_as_written(tmp_path: Path) -> None:
    """Counts, weight and lexicon; the same items give the same bytes."""
    made = _written(tmp_path / "a")
    assert catalog.read(tmp_path / "a") == made
    assert (made.weight, made.n_items, made.n_sentences) == (0.25, 2, 4)
    assert [(e.word, e.tokens) for e in made.lexicon(_TOKENS)] == [
        ("cat", (4, 5, 6)), ("lake", (2, 3, 4)), ("play", (1, 2, 3)),
    ]  # fmt: skip
    assert _written(tmp_path / "b").lm.read_bytes() == made.lm.read_bytes()


def test_the_model_prefers_what_is_popular() -> None:
    """Three of four who ask want the cat, and nobody says "play" last."""
    model = build(_ITEMS, [Carrier("{title}")], _TOKENS, _pronounce).model
    index = {word: at for at, word in enumerate(model.words)}
    cat, lake = (10 ** model.log10_probability([1, index[word]]) for word in ("cat", "lake"))
    assert cat == pytest.approx(0.75, abs=0.02)
    assert lake == pytest.approx(0.25, abs=0.02)


def test_other_tokens_are_refused(tmp_path: Path) -> None:
    """A catalogue is for the model that it was built for."""
    with pytest.raises(CatalogError, match="built for 7 tokens"):
        _written(tmp_path).lexicon(_TOKENS[:-1])


@pytest.mark.parametrize("name", [catalog.LEXICON, catalog.LM])
def test_a_changed_file_is_found(name: str, tmp_path: Path) -> None:
    """The error names it; a missing one too."""
    _written(tmp_path)
    with (tmp_path / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(CatalogDigestError, match=name):
        catalog.read(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CatalogError, match=name):
        catalog.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "format 9"),
        ({"weight": 1.0}, "weight is 1.0"),
        ({"tokens": None}, "describe"),
        (None, "lacks"),
    ],
)
def test_a_strange_manifest_is_refused(
    change: dict[str, object] | None, message: str, tmp_path: Path
) -> None:
    """The error says what is wrong with ``catalog.json``."""
    _written(tmp_path)
    path = tmp_path / catalog.MANIFEST
    path.write_text(json.dumps({} if change is None else json.loads(path.read_text()) | change))
    with pytest.raises(CatalogError, match=message):
        catalog.read(tmp_path)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    """The error says how a catalogue is made."""
    with pytest.raises(CatalogError, match="voicesearch catalog build"):
        catalog.read(tmp_path)


def test_the_command_builds_and_queries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A song becomes far more probable than it was; a sentence with a word it lacks only loses its share."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    if "en-small" not in available():
        pytest.skip("needs the bundle en-small")
    items, folder = tmp_path / "items.jsonl", str(tmp_path / "songs")
    items.write_text('{"id": 1, "title": "99 Blue Lakes"}\n', encoding="utf-8")
    assert main(["catalog", "build", str(items), "--out", folder, "--weight", "0.5"]) == 0
    assert capsys.readouterr().out.startswith(f"{folder}: 1 items, ")
    found = {}
    for text in ("Play 99 blue lakes", "tell him a story"):
        assert main(["catalog", "query", folder, text, "--json"]) == 0
        found[text] = json.loads(capsys.readouterr().out)["log10"]
    assert found["Play 99 blue lakes"]["mixture"] > found["Play 99 blue lakes"]["general"] + 5
    assert found["tell him a story"]["catalogue"] is None
    assert found["tell him a story"]["mixture"] == pytest.approx(
        found["tell him a story"]["general"] - 0.301, abs=1e-3
    )
