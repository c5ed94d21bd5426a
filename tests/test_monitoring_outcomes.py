"""``monitoring.outcomes``: what people did next, case by case, and on labelled sessions."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from script_module import load_script

from asr.transcript import NullReason
from monitoring.outcomes import Again, Click, follow
from monitoring.record import Event, EventType, Outcome, Record, Transport

AT = datetime(2026, 3, 1, tzinfo=UTC)
FIRST = Record(
    "r1",
    AT,
    Transport.SEARCH,
    Outcome.OK,
    200,
    "en-small@0",
    1.0,
    query_id="q1",
    session="s",
    text="red jacket",
    results=("item",),
)
BAR = 0.9
SHOWN = AT + timedelta(seconds=1)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """``scripts/check_outcomes`` as a module."""
    return load_script("check_outcomes")


def letters(a: str, b: str) -> float:
    """A distance that needs no pronunciations: the share of letters that differ at their place."""
    different = sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b))
    return different / max(len(a), len(b), 1)


def after(seconds: float, text: str, transport: Transport = Transport.SEARCH) -> Record:
    """The next query, so many seconds after the results of the first."""
    at = SHOWN + timedelta(seconds=seconds)
    return replace(FIRST, request_id="r2", query_id="q2", at=at, text=text, transport=transport)


def event(kind: EventType, seconds: float, **more: str) -> Event:
    """Something done with the first query, so many seconds after its results."""
    return Event(f"{kind}-{seconds}", "q1", kind, SHOWN + timedelta(seconds=seconds), **more)


@pytest.mark.parametrize(
    ("first", "second", "seconds", "again"),
    [
        ("red jacket", "red jacket", 5, Again.REPEAT),
        ("read jacket", "reed jacket", 5, Again.REPEAT),  # 1 of 11 letters
        ("rent packet", "red jacket", 5, None),  # letters are a poor measure of sounds: 0.73
        ("bed jacket", "red jacket", 30, Again.REPEAT),
        ("bed jackal", "red jacket", 30, Again.REPHRASE),  # 3 of 10
        ("bed jackal", "red jacket", 31, None),
        (
            "red jacket",
            "big jacket",
            5,
            None,
        ),  # as near as the one before, but "big" never sounded like "red"
        ("red jacket", "coffee grinder", 5, None),
        ("", "red jacket", 5, Again.REPEAT),
        ("", "", 5, Again.REPEAT),
        ("red jacket", "", 5, None),
        ("", "red jacket", 31, None),
    ],
)
def test_a_query_is_asked_again(first: str, second: str, seconds: float, again: Again | None) -> None:
    """Soon after, and sounding alike, whole and where it differs; or when nothing had been heard."""
    null = None if first else NullReason.LOW_CONFIDENCE
    asked = replace(FIRST, text=first, null_reason=null, outcome=Outcome.of(null))
    one, two = follow([asked, after(seconds, second)], [], letters)
    assert (one.query_id, one.again, one.again_as) == ("q1", again, "q2" if again else None)
    assert one.null is (null is not None)
    assert two.again is None


def test_a_typed_query_is_a_switch() -> None:
    """Who typed it is found by its query; typed after typed is nobody's failure to hear."""
    typed = after(5, "red jackal", Transport.TEXT)
    once_more = replace(typed, request_id="r3", query_id="q3", at=typed.at + timedelta(seconds=5))
    one, two, three = follow([once_more, FIRST, typed], [], letters)
    assert (one.again, one.again_as) == (Again.TYPED, "q2")
    assert [each.spoken for each in (one, two, three)] == [True, False, False]
    assert [two.again, three.again] == [None, None]


@pytest.mark.parametrize(
    ("repeats", "seconds", "again"),
    [
        (0.22, 30, Again.REPEAT),
        (0.22, 31, None),
        (0.23, 5, None),
        (0.43, 5, None),
        (None, 5, None),
    ],
)
def test_what_sounds_the_same_was_said_again(
    repeats: float | None, seconds: float, again: Again | None
) -> None:
    """Whatever was heard, and however sure of it."""
    asked = replace(FIRST, confidence=0.9)
    second = replace(after(seconds, "coffee grinder"), confidence=0.9, repeats=repeats)
    one, _ = follow([asked, second], [], letters)
    assert one.again is again


@pytest.mark.parametrize(("sure", "again"), [(0.21, None), (0.2, Again.REPEAT)])
def test_what_sounds_nearly_the_same_was_said_again_unless_other_words_were_heard(
    sure: float, again: Again | None
) -> None:
    """Both times surely: "red jacket" sounds nearly like "blue jacket". Words that agree may be as sure as they are."""
    second = replace(after(5, "big jacket"), confidence=sure, repeats=0.34)
    one, _ = follow([replace(FIRST, confidence=0.9), second], [], letters)
    assert one.again is again
    same, _ = follow([replace(FIRST, confidence=0.9), replace(second, text="red jacket")], [], letters)
    assert same.again is Again.REPEAT


def test_what_sounds_unlike_was_not_said_again() -> None:
    """Not by words that look alike, nor in haste, nor after a click; after nothing heard only with time between."""
    unlike = replace(after(5, "bed jacket"), repeats=0.61)
    one, _ = follow([replace(FIRST, confidence=0.0), unlike], [event(EventType.CLICK, 2)], letters)
    assert one.again is None
    null = replace(FIRST, text="", null_reason=NullReason.LOW_CONFIDENCE, outcome=Outcome.NULL)
    for seconds, again in ((15, Again.REPHRASE), (16, None)):
        one, _ = follow([null, replace(unlike, at=SHOWN + timedelta(seconds=seconds))], [], letters)
        assert one.again is again


def test_how_it_sounds_says_in_which_way() -> None:
    """The same misheard twice is a repetition; the texts decide only where sounds cannot."""
    misheard = after(5, "rent a packet")
    for repeats, again in ((0.42, Again.REPEAT), (0.43, Again.REPHRASE), (None, Again.REPHRASE)):
        asked = [replace(FIRST, confidence=0.1), replace(misheard, repeats=repeats)]
        assert follow(asked, [], letters)[0].again is again


def test_a_search_that_found_nothing_failed() -> None:
    """As if nothing had been heard. Where nothing was searched for, no results mean nothing."""
    tea = after(30, "tea")
    one, _ = follow([replace(FIRST, results=()), tea], [], letters)
    assert one.again is Again.REPHRASE
    stream = replace(FIRST, transport=Transport.STREAM, results=())
    assert follow([stream, tea], [], letters)[0].again is None
    searched = replace(stream, stages_s={"search": 0.001})
    assert follow([searched, tea], [], letters)[0].again is Again.REPHRASE


def test_a_result_that_was_left_at_once_was_not_the_answer() -> None:
    """A short visit before the next query, if that does not sound unlike; before typing, only in haste."""
    click = event(EventType.CLICK, 8, item_id="item")
    one, _ = follow([FIRST, after(17, "tea")], [click], letters)
    assert one.again is Again.REPHRASE
    for seconds, again in ((15, Again.TYPED), (16, None)):
        one, _ = follow([FIRST, after(seconds, "tea", Transport.TEXT)], [click], letters)
        assert one.again is again


@pytest.mark.parametrize(
    ("confidence", "seconds", "again"),
    [(0.2, 15, Again.REPHRASE), (0.21, 15, None), (0.2, 15.5, None), (None, 1, None)],
)
def test_what_was_hardly_heard_and_is_followed_in_haste(
    confidence: float | None, seconds: float, again: Again | None
) -> None:
    """Misheard badly, a query sounds like anything: then low confidence and haste speak."""
    one, _ = follow([replace(FIRST, confidence=confidence), after(seconds, "tea")], [], letters)
    assert one.again is again


@pytest.mark.parametrize(
    ("changes", "seconds", "again"),
    [
        ({"confidence": 0.3}, 15, Again.TYPED),
        ({"confidence": 0.31}, 15, None),
        ({"confidence": 0.3}, 16, None),
        ({"repeats": 0.34}, 15, Again.TYPED),  # it had been said before
        ({"repeats": 0.35}, 15, None),
        ({"results": ()}, 30, Again.TYPED),
        ({}, 1, None),
    ],
)
def test_who_types_at_once_was_not_understood(
    changes: dict[str, object], seconds: float, again: Again | None
) -> None:
    """Whatever the words, where there was reason to doubt; else the keyboard is just a keyboard."""
    first = replace(FIRST, **changes)  # type: ignore[arg-type]  # a test's own names
    one, _ = follow([first, after(seconds, "tea", Transport.TEXT)], [], letters)
    assert one.again is again


def test_a_click_that_dwelt_was_the_answer() -> None:
    """Ten seconds on a result, and the same words again are a new wish; a shorter visit was a mistake."""
    for dwell_s, again in ((10, None), (9, Again.REPEAT)):
        click = event(EventType.CLICK, 2, item_id="item")
        one, _ = follow([FIRST, after(2 + dwell_s, "red jacket")], [click], letters)
        assert one.clicks == (Click("item", dwell_s),)
        assert (one.again, one.satisfied) == (again, again is None)


def test_a_visit_ends_with_the_next_click() -> None:
    """Or with the next query; the last of a session has no end that anyone knows, and is taken for an answer."""
    clicks = [event(EventType.CLICK, 12, item_id="b"), event(EventType.CLICK, 2, item_id="a")]
    one, _ = follow([FIRST, after(15, "tea")], clicks, letters)
    assert one.clicks == (Click("a", 10.0), Click("b", 3.0))
    (alone,) = follow([FIRST], clicks, letters)
    assert alone.clicks == (Click("a", 10.0), Click("b", None))
    assert alone.satisfied


def test_what_the_client_says_needs_no_inference() -> None:
    """Within two minutes: asked again, or typed, whatever the words; later it is about something else."""
    far = after(100, "coffee grinder")
    (redo, _) = follow([FIRST, far], [event(EventType.REDO, 99)], letters)
    assert (redo.again, redo.again_as, redo.told) == (Again.EXPLICIT, "q2", True)
    (typed, _) = follow([FIRST, far], [event(EventType.TYPED, 99, text="red jackets")], letters)
    assert (typed.again, typed.told) == (Again.TYPED, True)
    (late,) = follow([FIRST], [event(EventType.REDO, 121)], letters)
    assert (late.again, late.told) == (None, False)
    (inferred, _) = follow([FIRST, after(5, "red jacket")], [], letters)
    assert (inferred.again, inferred.told) == (Again.REPEAT, False)


def test_answers_that_nobody_saw_are_not_followed() -> None:
    """A shadow's: who asked saw the other answer, and it is followed by the next question."""
    shadow = replace(FIRST, request_id="r3", query_id="q3", arm="shadow", at=AT + timedelta(milliseconds=1))
    one, two = follow([FIRST, shadow, after(5, "red jacket")], [], letters)
    assert (one.query_id, one.again_as, two.query_id) == ("q1", "q2", "q2")


def test_it_is_charged_to_what_answered_first() -> None:
    """The second query may have had a better model: the failure is the first one's."""
    second = replace(after(5, "red jacket"), model="en-big@1", arm="canary")
    one, two = follow([FIRST, second], [], letters)
    assert (one.model, one.arm, one.again) == ("en-small@0", "stable", Again.REPEAT)
    assert (two.model, two.arm, two.again) == ("en-big@1", "canary", None)


def test_a_failed_request_is_no_query() -> None:
    """An error of ours had no answer; the query before it is followed by the one after it."""
    failed = replace(after(2, ""), outcome=Outcome.ERROR, status=503, query_id="q3", request_id="r3")
    one, _ = follow([FIRST, failed, after(5, "red jacket")], [], letters)
    assert (one.again, one.again_as) == (Again.REPEAT, "q2")


def test_what_was_typed_is_not_kept() -> None:
    """It is what a person typed: it stays where it was typed, in the record or the event."""
    told = event(EventType.TYPED, 4, text="red jackal")
    one, _ = follow([FIRST, after(5, "red jackal", Transport.TEXT)], [told], letters)
    assert one.again is Again.TYPED
    assert "jackal" not in str(asdict(one))


def test_silence_was_not_misheard() -> None:
    """Of a clip without speech it is known what came after it, but it is no spoken query."""
    silent = replace(FIRST, outcome=Outcome.NO_SPEECH, null_reason=NullReason.NO_SPEECH, text="", results=())
    one, two = follow([silent, after(5, "red jacket")], [], letters)
    assert (one.again, one.spoken, two.spoken) == (Again.REPEAT, False, True)


def test_labelled_sessions_are_judged_as_measured(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real recognition errors and sounds, simulated people, wishes that no threshold was set on: nine in ten."""
    sessions = list(script.simulate(script.read_wishes(script.HEARD, tuning=False), 5000, seed=0))
    scores = script.judge(sessions, script.load_distance())
    for name in ("redo", "typing switch"):
        with capsys.disabled():
            print(f"\n{name}: precision {scores[name].precision:.3f}, recall {scores[name].recall:.3f}")
        assert scores[name].meant > 200
        assert scores[name].precision >= BAR
        assert scores[name].recall >= BAR


def test_the_same_seed_makes_the_same_sessions(script: ModuleType) -> None:
    """Labels are worth nothing if they cannot be made again."""
    wishes = script.read_wishes(script.HEARD, tuning=True)
    first, again, other = (list(script.simulate(wishes, 20, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
