"""Catalogues: where they are found, what is in the shipped ones, and the decoder's catalogue made of them."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from asr import bundle, catalog
from asr.catalog_build import spoken
from asr.errors import OptionError
from asr.pronounce import pronouncer
from serving import catalogs, decoder_catalogs
from serving.catalogs import Catalog, Item

SHIPPED = ("books", "cafe")
GENRES = {
    *("novel", "play", "stories", "philosophy", "poetry", "children", "politics", "memoir", "essays", "epic"),
    *("history", "science", "economics", "religion", "travel", "fables", "household"),
}


def write(path: Path, *rows: dict[str, object]) -> Catalog:
    """A catalogue file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Catalog(path)


@pytest.fixture
def small(tmp_path: Path) -> Catalog:
    """Two items and three carriers."""
    (tmp_path / "small.carriers.txt").write_text("{title}\n2\tplay {title}\n", encoding="utf-8")
    rows = (
        {"id": "a", "title": "Moby-Dick", "facets": {"year": 1851}},
        {"id": "b", "title": "Emma", "popularity": 0.5},
    )
    return write(tmp_path / "small.jsonl", *rows)


def test_a_row_as_it_is_written_and_as_it_is_said(tmp_path: Path) -> None:
    """Titles keep their case, values their type; a facet of one value has a list of one."""
    row = {
        "id": 7,
        "title": "20,000 Leagues",
        "aliases": ["Brontë"],
        "facets": {"author": "Jules Verne", "year": [1870]},
        "popularity": 0.5,
    }
    (item,) = write(tmp_path / "x.jsonl", row).items()
    assert item == Item(
        "7", "20,000 Leagues", ("Brontë",), {"author": ("Jules Verne",), "year": (1870,)}, 0.5
    )
    assert item.as_dict() == {
        "id": "7",
        "title": "20,000 Leagues",
        "aliases": ["Brontë"],
        "facets": {"author": ["Jules Verne"], "year": [1870]},
        "popularity": 0.5,
    }
    assert item.spoken.names == ("twenty thousand leagues", "bronte")
    assert item.spoken.facets == {"author": ("jules verne",), "year": ("eighteen seventy",)}


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    """The file, the line, and what is wrong."""
    bad = write(tmp_path / "x.jsonl", {"id": "a", "title": "Emma"}, {"id": "b", "title": "?!"})
    with pytest.raises(OptionError, match=r"x\.jsonl, line 2.*no letters or digits"):
        bad.items()


def test_catalogues_are_found_by_name_and_by_path(small: Catalog) -> None:
    """A name of a shipped one, a file, and nothing else."""
    assert catalogs.names() == SHIPPED
    assert catalogs.find("books").path.name == "books.jsonl"
    assert catalogs.find(str(small.path)) == small
    with pytest.raises(OptionError, match="no catalogue 'films': it is no file, and books, cafe came"):
        catalogs.find("films")


def test_ids_are_unique_over_catalogues(small: Catalog, tmp_path: Path) -> None:
    """Two items of one id are refused, and both are named."""
    other = write(tmp_path / "other.jsonl", {"id": "b", "title": "Persuasion"})
    with pytest.raises(
        OptionError, match=r"'b': 'Emma' in .*small\.jsonl and 'Persuasion' in .*other\.jsonl"
    ):
        catalogs.read([small, other])
    assert [item.id for item in catalogs.read([small])] == ["a", "b"]


def test_carriers_of_its_own_or_the_usual(small: Catalog, tmp_path: Path) -> None:
    """A file beside the items says how people ask for them."""
    assert [(each.text, each.weight) for each in small.carriers] == [("{title}", 1.0), ("play {title}", 2.0)]
    assert len(write(tmp_path / "bare.jsonl", {"id": "a", "title": "Emma"}).carriers) > 20


def test_the_decoders_catalogue_is_made_once(small: Catalog, tmp_path: Path) -> None:
    """The same items give the same folder without another build; other carriers give another."""
    cache = tmp_path / "cache"
    folder = decoder_catalogs.prepare([small], cache=cache)
    made = (folder / catalog.MANIFEST).stat()
    assert catalog.read(folder).n_items == 2
    assert decoder_catalogs.prepare([small], cache=cache) == folder
    assert (folder / catalog.MANIFEST).stat().st_mtime_ns == made.st_mtime_ns
    (small.path.parent / "small.carriers.txt").write_text("find {title}\n", encoding="utf-8")
    assert decoder_catalogs.prepare([small], cache=cache) != folder
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_catalogue_is_made_again(small: Catalog, tmp_path: Path) -> None:
    """What does not have its digest is not used."""
    folder = decoder_catalogs.prepare([small], cache=tmp_path / "cache")
    whole = (folder / catalog.LEXICON).read_bytes()
    (folder / catalog.LEXICON).write_bytes(whole[:-5])
    assert decoder_catalogs.prepare([small], cache=tmp_path / "cache") == folder
    assert (folder / catalog.LEXICON).read_bytes() == whole


def test_processes_may_make_it_at_the_same_time(small: Catalog, tmp_path: Path) -> None:
    """All get the same whole folder, and nothing unfinished is left behind."""
    cache = tmp_path / "cache"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        # Not a function of this file: a spawned process cannot import it under pytest-xdist.
        folders = pool.starmap(decoder_catalogs.prepare, [([small], bundle.DEFAULT_MODEL, cache)] * 4)
    assert len(set(folders)) == 1
    assert list(cache.iterdir()) == [folders[0]]
    assert catalog.read(folders[0]).n_items == 2


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_ids_and_names_are_unique(name: str) -> None:
    """No two items share an id or a name as it is said, so that every one can be asked for."""
    items = catalogs.find(name).items()
    assert len({item.id for item in items}) == len(items)
    names = [said for item in items for said in item.spoken.names]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_names_can_be_said(name: str) -> None:
    """Every word of a title, alias, facet and carrier has a pronunciation in the shipped model's phones."""
    folder = bundle.find(bundle.DEFAULT_MODEL)
    say = pronouncer(folder, bundle.read(folder))
    source = catalogs.find(name)
    texts = [said for item in source.items() for said in item.spoken.names]
    texts += [value for item in source.items() for values in item.spoken.facets.values() for value in values]
    texts += [word for carrier in source.carriers for word in carrier.text.split() if "{" not in word]
    words = {word for text in texts for word in text.split()}
    assert [word for word in sorted(words) if not say(word)] == []


def test_the_books() -> None:
    """Each has a plausible year, an author or none known, a genre of the list, and a popularity of four."""
    items = catalogs.find("books").items()
    assert len(items) >= 300
    for item in items:
        assert item.facets.keys() <= {"author", "year", "genre", "language"}, item.id
        (year,) = item.facets["year"]
        assert isinstance(year, int), item.id
        assert -800 <= year <= 1930, item.id
        assert set(item.facets["genre"]) <= GENRES, item.id
        assert item.popularity in (1.0, 0.5, 0.25, 0.1), item.id
        assert all(isinstance(author, str) and author for author in item.facets.get("author", ())), item.id
    by_id = {item.id: item for item in items}
    assert by_id["moby-dick"].facets["author"] == ("Herman Melville",)
    leagues = by_id["twenty-thousand-leagues-under-the-sea"]
    assert "20,000 leagues under the sea" in leagues.aliases
    assert leagues.spoken.names == ("twenty thousand leagues under the sea",)
    assert spoken("On the Origin of Species") in by_id["on-the-origin-of-species"].spoken.names


def test_the_cafe() -> None:
    """Ten drinks, each with every size, roast, number of shots, milk and sugar."""
    items = catalogs.find("cafe").items()
    assert [item.title for item in items][:3] == ["coffee", "drip coffee", "house coffee"]
    assert len(items) == 10
    assert all(set(item.facets) == {"size", "roast", "shots", "milk", "sugar"} for item in items)
