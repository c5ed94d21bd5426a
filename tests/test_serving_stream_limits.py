"""Limits of what a stream's client and a Wyoming client may send."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from serving.errors import InvalidParameterError
from serving.hotwords import MAX_LETTERS, MAX_WORD_LETTERS, hints, within_limits
from serving.stream_messages import parse, refusal


@pytest.mark.parametrize(
    "phrases", [["a" * (MAX_WORD_LETTERS + 1)], ["letters " * 5] * (MAX_LETTERS // 40 + 1)]
)
def test_a_stream_has_the_limits_of_rest(phrases: list[str]) -> None:
    """A word or a list with too many letters is refused by name."""
    with pytest.raises(InvalidParameterError) as refused:
        parse(json.dumps({"config": {"hotwords": phrases}}))
    assert refused.value.param == "hotwords"


def test_what_fits_is_taken_as_it_is() -> None:
    """The phrases themselves; none for none."""
    found = within_limits(["miles davis"], "hotwords")
    assert found is not None
    assert found.phrases == ("miles davis",)
    assert within_limits([], "hotwords") is None


def test_hints_beyond_the_limits_are_left_out() -> None:
    """Neither a long word nor more letters than there is room for, and no more than the first are looked at."""
    found = hints(["kitchen lamp", "a" * (MAX_WORD_LETTERS + 1), 7, "lamp " * MAX_LETTERS])
    assert found is not None
    assert found.phrases == ("kitchen lamp",)
    assert hints(["?"] * 50_000 + ["lamp"]) is None


def test_a_lone_surrogate_is_refused_in_words_that_can_be_sent() -> None:
    """The refusal of such a key is UTF-8."""
    with pytest.raises(InvalidParameterError) as refused:
        parse('{"\\ud800": 1}')
    told, _ = refusal(refused.value)
    assert told["param"] == "\\ud800"
    assert json.dumps(told, ensure_ascii=False).encode()
