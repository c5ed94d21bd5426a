"""Search: what was heard finds what was meant, and nothing where nothing was."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from asr.errors import OptionError
from asr.phonetic import Pronounce
from asr.transcript import Reading

pytest.importorskip("rapidfuzz", reason="needs the extra serve")

from serving import catalogs
from serving.catalogs import Item
from serving.search import NothingFound, SearchIndex, nothing_found
from serving.search_query import MAX_WORDS, forms, normalise, stripped
from serving.search_ranking import LEAST_SCORE, Signs, score
from serving.search_words import stem

ASKING_FOR_NOTHING = """
what is the weather tomorrow|set a timer for ten minutes|turn off the lights in the kitchen|call my brother
how do i get to the train station|what time is it in london|remind me to buy milk|send a message to anna
turn the volume up|navigate to the airport|how tall is the eiffel tower|what is seven times eight
where is the nearest pharmacy|wake me up at six thirty|take a picture|i am on my way home now
cancel my appointment on friday|did it rain yesterday|my phone number is five five five|lock the front door
""".strip().replace("\n", "|")


@pytest.fixture(scope="module")
def books() -> SearchIndex:
    """The shipped books."""
    return SearchIndex(catalogs.read([catalogs.find("books")]))


def typed(text: str) -> tuple[Reading, ...]:
    """A query of one reading."""
    return (Reading(text, 1.0),)


def titles(index: SearchIndex, *readings: Reading, k: int = 10) -> list[str]:
    """Titles of the results, best first."""
    return [result.item.title for result in index.search(readings, k)]


def pronounce(word: str) -> Sequence[tuple[str, ...]]:
    """Letters for phones: enough where no sound is tested."""
    return [
        tuple(
            {"a": "AE", "b": "B", "k": "K", "m": "M", "s": "S", "t": "T"}.get(letter, "AH") for letter in word
        )
    ]


def index_of(*items: Item, say: Pronounce = pronounce) -> SearchIndex:
    """A small index that loads no model."""
    return SearchIndex(items, say)


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("moby dick", "Moby-Dick"),
        ("Play MOBY-DICK, please!", "Moby-Dick"),
        ("mobi dik", "Moby-Dick"),
        ("find me the adventure of huck fin", "Adventures of Huckleberry Finn"),
        ("huckelbery fin", "Adventures of Huckleberry Finn"),
        ("20,000 leagues under the sea", "Twenty Thousand Leagues Under the Sea"),
        ("twenty thousand league under the sea", "Twenty Thousand Leagues Under the Sea"),
        ("around the world in 80 days", "Around the World in Eighty Days"),
        ("i want to read the call of the wild", "The Call of the Wild"),
        ("wuthering hights by emily bronte", "Wuthering Heights"),
        ("jane air", "Jane Eyre"),
        ("origin of species", "On the Origin of Species"),
        ("emma by jane austen", "Emma"),
        ("crime and punishment by dostoevsky", "Crime and Punishment"),
        ("the colour out of space", "The Colour Out of Space"),
        ("12th night", "Twelfth Night"),
    ],
)
def test_a_title_is_found(books: SearchIndex, query: str, title: str) -> None:
    """As it is written, said, misheard and mistyped; with and without the words of asking."""
    assert titles(books, *typed(query))[:1] == [title]


def test_an_author_is_found_by_any_spelling(books: SearchIndex) -> None:
    """All results of the author, and only theirs, at the top; a misspelt name sounds the same."""
    for query in ("books by jane austen", "jane austin", "novels by jayne austen please", "books by austen"):
        found = books.search(typed(query), 5)
        assert [result.item.facets["author"] for result in found] == [("Jane Austen",)] * 5, query


@pytest.mark.parametrize("text", ASKING_FOR_NOTHING.split("|"))
def test_what_asks_for_no_book_finds_none(books: SearchIndex, text: str) -> None:
    """Nothing is likely: at most a result that says of itself that it is not."""
    assert all(result.score < 0.5 for result in books.search(typed(text)))


def test_most_of_what_asks_for_no_book_has_no_results(books: SearchIndex) -> None:
    """Nothing at all is shown for nine in ten of twenty such queries."""
    found = [text for text in ASKING_FOR_NOTHING.split("|") if books.search(typed(text))]
    print(f"results for {found}")
    assert len(found) <= 2


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '" OR "',
        "NEAR(moby dick, 2)",
        "title:moby",
        "*",
        "mob*",
        "^moby",
        "-moby",
        "moby AND",
        "); DROP TABLE words; --",
        "\x00moby\x00",
        "😀 🐳",
        "白鯨",
        "'",
        "'''",
        "a" * 100_000,
        "moby dick " * 20_000,
        "\ud800",
        "1" * 5000,
        "{title} %s \\",
    ],
)
def test_hostile_text_is_only_text(books: SearchIndex, text: str) -> None:
    """No query language, no crash, and no effect on the next query; what has words is searched for."""
    found = books.search(typed(text))
    assert all(LEAST_SCORE <= result.score <= 1.0 for result in found)
    if text == "NEAR(moby dick, 2)":
        assert found[0].item.title == "Moby-Dick"
    assert titles(books, *typed("dracula")) == ["Dracula"]


def test_a_second_reading_that_names_an_item_wins(books: SearchIndex) -> None:
    """What the recogniser thought less likely is found where its best reading is nothing."""
    readings = (Reading("read my tools and the", 0.6), Reading("read the jungle book", 0.4))
    assert titles(books, *readings)[0] == "The Jungle Book"
    assert "The Jungle Book" not in titles(books, readings[0])


def test_of_two_that_match_the_likelier_reading_wins() -> None:
    """Equal matches are ordered by what was probably said."""
    index = index_of(Item("a", "bat"), Item("b", "mask"))
    assert titles(index, Reading("mask", 0.7), Reading("bat", 0.3)) == ["mask", "bat"]
    assert titles(index, Reading("mask", 0.3), Reading("bat", 0.7)) == ["bat", "mask"]


def test_of_two_that_match_the_more_popular_wins() -> None:
    """Nothing else tells them apart; where nothing does, they keep the catalogue's order."""
    first = Item("a", "bat", popularity=0.1)
    assert [r.item.id for r in index_of(first, Item("b", "bat", popularity=1.0)).search(typed("bat"))] == [
        "b",
        "a",
    ]
    assert [r.item.id for r in index_of(first, Item("b", "bat", popularity=0.1)).search(typed("bat"))] == [
        "a",
        "b",
    ]


def test_no_results_have_a_reason(books: SearchIndex) -> None:
    """No words, or none that the catalogue has."""
    for text in ("", "  ", "😀", '"'):
        assert books.search(typed(text)) == ()
        assert nothing_found(typed(text)) is NothingFound.EMPTY_QUERY
    assert nothing_found(()) is NothingFound.EMPTY_QUERY
    assert books.search(()) == ()
    assert nothing_found(typed("what is the weather")) is NothingFound.NO_MATCH


def test_k_bounds_the_results(books: SearchIndex) -> None:
    """At most so many, the first of those of a larger k; none is refused."""
    ten = books.search(typed("books by shakespeare"), 10)
    assert len(ten) == 10
    assert books.search(typed("books by shakespeare"), 3) == ten[:3]
    with pytest.raises(OptionError, match="k is 0"):
        books.search(typed("dracula"), 0)


def test_results_are_ordered_and_say_why(books: SearchIndex) -> None:
    """Scores fall; each is that of its signs; the winning words and name are told."""
    found = books.search(typed("play tom sawyer"))
    assert [result.score for result in found] == sorted((result.score for result in found), reverse=True)
    best = found[0]
    assert best.score == score(best.why.signs)
    assert (best.why.query, best.why.name) == ("tom sawyer", "tom sawyer")
    assert best.as_dict() == {**best.item.as_dict(), "score": round(best.score, 4)}
    assert best.why.as_dict()["signs"]["sounds"] == 1.0


def test_threads_share_an_index(books: SearchIndex) -> None:
    """Many searches at once give what each gives alone."""
    queries = [f"{carrier} {item.title}" for item in books.items[:40] for carrier in ("play", "find me")]
    alone = [books.search(typed(query)) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: books.search(typed(query)), queries)) == alone


def test_an_index_in_a_file(tmp_path: Path) -> None:
    """The same results, from a new file; an existing one is not overwritten."""
    items = (Item("a", "bat"), Item("b", "mask"))
    index = SearchIndex(items, pronounce, tmp_path / "index.db")
    assert titles(index, *typed("mask")) == titles(index_of(*items), *typed("mask")) == ["mask"]
    index.close()
    assert (tmp_path / "index.db").stat().st_size > 0
    with pytest.raises(OptionError, match=r"index\.db exists"):
        SearchIndex(items, pronounce, tmp_path / "index.db")


def test_an_index_of_nothing() -> None:
    """It can be asked, and finds nothing."""
    assert index_of().search(typed("mask")) == ()


def test_a_title_without_words_is_refused() -> None:
    """Nobody could ask for it, so it is no item of an index; the message names it."""
    with pytest.raises(OptionError, match="item 'a' has the title '白鯨'"):
        index_of(Item("a", "白鯨"))


def test_names_that_nobody_can_say_are_found_by_their_words() -> None:
    """Where the model has no phones for a title, full text still finds it, with little to go by."""
    index = index_of(Item("a", "bat"), say=lambda _: [])
    assert [at for at, _ in index.consider(typed("bat"))] == [0]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("play moby dick", "moby dick"),
        ("hey computer can i get a large latte please", "large latte"),
        ("find me the book war and peace", "war and peace"),
        ("the raven", "raven"),
        ("play", "play"),
        ("please please", "please please"),
        ("playing moby dick", "playing moby dick"),
        ("what did jane austen write", "jane austen"),
        ("", ""),
    ],
)
def test_the_words_of_asking_are_left_out(text: str, left: str) -> None:
    """Openings, endings and the article go, in whole words; what would leave nothing stays."""
    assert stripped(text) == left


def test_queries_are_in_one_spelling() -> None:
    """Numbers in words, the guideline's spelling, a bounded number of words."""
    assert normalise("The 39 Steps: Colour!") == "the thirty nine steps color"
    assert len(normalise("word " * 100).split()) == MAX_WORDS == 16


def test_forms_of_readings_add_up() -> None:
    """Readings that ask for the same in other words share its form; only the best is also searched for as a whole."""
    heard = forms(
        [Reading("play moby dick", 0.5), Reading("moby dick", 0.25), Reading("play toby dick", 0.25)]
    )
    assert [(form.text, form.probability) for form in heard] == [
        ("moby dick", 0.75),
        ("play moby dick", 0.5),
        ("toby dick", 0.25),
    ]


def test_forms_of_no_account_are_dropped() -> None:
    """What is hardly possible costs time and finds nothing."""
    assert [form.text for form in forms([Reading("moby", 0.995), Reading("toby", 0.005)])] == ["moby"]


@pytest.mark.parametrize(
    ("word", "compared"),
    [
        ("leagues", "league"),
        ("aesop's", "aesop"),
        ("moss", "moss"),
        ("is", "is"),
        ("ulysses", "ulysse"),
        ("o'clock", "oclock"),
    ],
)
def test_words_are_compared_without_plural_and_possessive(word: str, compared: str) -> None:
    """Both sides alike, so a word always finds itself."""
    assert stem(word) == compared


def test_each_sign_raises_the_score() -> None:
    """None speaks against an item, and the score is a probability."""
    nothing = Signs(heard=-7.0, bm25=0.0, sounds=0.0, explained=0.0, spelling=0.0, popularity=-3.0)
    everything = Signs(heard=0.0, bm25=1.0, sounds=1.0, explained=1.0, spelling=1.0, popularity=0.0)
    assert 0.0 < score(nothing) < 0.01
    assert 0.99 < score(everything) < 1.0
    for sign, best in everything._asdict().items():
        assert score(nothing._replace(**{sign: best})) > score(nothing), sign
