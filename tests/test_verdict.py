"""``monitoring.drift.verdict``: data drift, concept drift, both or neither, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from drift_records import MONDAY, heard, narrow_microphone, records

from monitoring.drift.change import Change
from monitoring.drift.judge import judge
from monitoring.drift.profile import Profile
from monitoring.drift.report import DriftReport
from monitoring.drift.verdict import INPUTS, Kind, verdict
from monitoring.features import Stage

NEXT_WEEK = MONDAY + timedelta(days=7)
WEEK = Profile.freeze(records(3_000, 1), "week", NEXT_WEEK)
QUIET = judge(WEEK, records(400, 3, since=NEXT_WEEK))
REDO = Change("redo", Stage.PEOPLE, "ADWIN", NEXT_WEEK, 0.1, 0.25, 900)


def microphone(**more: object) -> DriftReport:
    """A window through another microphone."""
    return judge(WEEK, records(400, 5, clips=heard(narrow_microphone), since=NEXT_WEEK, **more))  # type: ignore[arg-type]


def test_neither() -> None:
    """And of how many sittings that is said."""
    said = verdict(QUIET)
    assert (said.kind, said.moved) == (Kind.NONE, ())
    assert said.words == f"Nothing moved beyond chance and the least effect, in {QUIET.sittings} sittings."


def test_too_little_is_not_the_same_as_nothing() -> None:
    """A window of five cannot say that all is well."""
    assert verdict(judge(WEEK, records(5, 3))).words.startswith("Nothing could be judged")


def test_data_drift() -> None:
    """Inputs moved: stages and features in the order of the pipeline, with what they were and are."""
    said = verdict(microphone())
    assert said.kind is Kind.DATA
    assert said.moved[0] == "level_dbfs"
    assert said.stages == (Stage.INPUT, Stage.SPEECH)
    assert said.words.startswith("Data drift: inputs moved: input: level_dbfs (-2")
    assert "; speech: " in said.words


def test_what_was_not_judged_is_not_called_unchanged() -> None:
    """A report of some stages alone, or of features that the window has too few of, says so of the others."""
    for inputs, said in (
        (True, "too little is known of what becomes of them"),
        (False, "too little is known of the clips themselves"),
    ):
        both = judge(WEEK, records(600, 8, clips=heard(narrow_microphone), since=NEXT_WEEK, no_results=0.3))
        one_side = tuple(one for one in both.features if (one.feature.stage in INPUTS) == inputs)
        told = verdict(replace(both, features=one_side))
        assert told.kind is Kind.UNCLEAR
        assert said in told.words


def test_concept_drift() -> None:
    """Outcomes moved while inputs did not; where they moved first says where to look."""
    said = verdict(QUIET, [REDO])
    assert (said.kind, said.moved, said.stages) == (Kind.CONCEPT, ("redo",), (Stage.PEOPLE,))
    assert "people: redo (10.0% -> 25.0%)" in said.words
    assert "look at the results themselves" in said.words
    worse = judge(WEEK, records(600, 8, since=NEXT_WEEK, no_results=0.2))
    assert "look at the catalogue" in verdict(worse, [REDO]).words


def test_both() -> None:
    """The first stage of the pipeline is the first suspect."""
    said = verdict(microphone(), [REDO])
    assert said.kind is Kind.BOTH
    assert said.stages[0] is Stage.INPUT
    assert said.stages[-1] is Stage.PEOPLE
    assert said.words.endswith("Look first at what comes first: level_dbfs.")


def test_another_model_is_named() -> None:
    """Text that moved with the model needs no other explanation."""
    other = judge(WEEK, records(600, 8, since=NEXT_WEEK, confidence=3.0, model="b"))
    assert verdict(other).words.endswith("The model is b; the reference was made with a.")


def test_a_stream_is_named_once() -> None:
    """By its newest change."""
    newer = Change("redo", Stage.PEOPLE, "ADWIN", NEXT_WEEK, 0.25, 0.4, 500)
    said = verdict(QUIET, [REDO, newer])
    assert said.moved == ("redo",)
    assert "25.0% -> 40.0%" in said.words
    assert said.as_dict()["kind"] == "concept"


def test_other_words_take_another_time() -> None:
    """Longer clips that sound as before, and outcomes that moved, are no other microphone."""
    longer = [replace(clip, duration_s=clip.duration_s * 1.5) for clip in heard()]
    report = judge(WEEK, records(600, 8, clips=longer, since=NEXT_WEEK, no_results=0.2))
    only = replace(
        report, features=tuple(one for one in report.features if one.feature.stage is not Stage.SPEECH)
    )
    said = verdict(only)
    assert (said.kind, said.moved[0]) == (Kind.CONCEPT, "duration_s")
    assert "clips sound as before" in said.words
