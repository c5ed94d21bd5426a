"""The spoken queries that search is measured and tuned on: sensible, spoken, and the same for the same seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from asr.audio import decode
from asr.catalog_build import Item, carrier

searches = pytest.importorskip("asr.train.searches", reason="needs voicesearch[train]")

ITEMS = [
    Item("emma", ("emma",), {"author": ("jane austen",)}),
    Item("persuasion", ("persuasion",), {"author": ("jane austen",)}),
    Item("beowulf", ("beowulf",)),
]


def test_queries_fit_their_items() -> None:
    """Only carriers that an item can fill; an author is answered by each of their books, a title by its own."""
    carriers = [carrier("find {title}"), carrier("books by {author}")]
    queries = searches.draw(ITEMS, carriers, per_item=20, seed=0)
    assert len(queries) == 60
    for query in queries:
        if query.text == "books by jane austen":
            assert query.wanted == ("emma", "persuasion")
        else:
            assert query.text == f"find {query.wanted[0]}"
            assert len(query.wanted) == 1
    assert {query.text for query in queries[40:]} == {"find beowulf"}
    assert [query.tuning for query in queries[::20]] == [True, False, True]
    assert searches.draw(ITEMS, carriers, per_item=20, seed=0) == queries
    assert searches.draw(ITEMS, carriers, per_item=20, seed=1) != queries


@pytest.mark.skipif(
    not (shutil.which("flite") and shutil.which("espeak-ng")), reason="needs flite and espeak-ng"
)
def test_a_query_is_spoken_the_same_way_again(tmp_path: Path) -> None:
    """The clip follows from seed and name; one that is there is kept."""
    query = searches.draw(ITEMS, [carrier("find {title}")], per_item=1, seed=0)[0]
    for name in ("a.flac", "b.flac"):
        searches.speak((query, tmp_path / name, 0))
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()
    assert 8_000 < len(decode(tmp_path / "a.flac")) < 64_000
    (tmp_path / "a.flac").write_bytes(b"kept")
    searches.speak((query, tmp_path / "a.flac", 0))
    assert (tmp_path / "a.flac").read_bytes() == b"kept"
