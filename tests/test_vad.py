"""Segmenting: from probabilities to spans, whatever the detector."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr import vad
from asr.errors import OptionError
from asr.transcript import Span
from asr.vad import NoVad, Samples, Segmenter, VadOptions, find_speech, frame_probabilities, one_by_one

FRAME = 160
OPTIONS = VadOptions(min_speech_duration_ms=50, min_silence_duration_ms=100, speech_pad_ms=20)


def spans_of(probabilities: list[float], options: VadOptions = OPTIONS) -> list[Span]:
    segmenter = Segmenter(options, FRAME)
    closed = [segmenter.push(probability) for probability in probabilities]
    return [span for span in [*closed, segmenter.finish()] if span is not None]


def test_a_run_of_speech_becomes_one_padded_span() -> None:
    """20 frames of speech after 10 of silence are one span with 20 ms added at both ends."""
    assert spans_of([0.0] * 10 + [1.0] * 20 + [0.0] * 30) == [Span(8 * FRAME, 32 * FRAME)]


def test_a_short_pause_does_not_split() -> None:
    """A pause under min_silence_duration_ms stays inside the span."""
    assert spans_of([1.0] * 10 + [0.0] * 9 + [1.0] * 10 + [0.0] * 20) == [Span(0, 31 * FRAME)]


def test_a_long_pause_splits() -> None:
    """A pause of min_silence_duration_ms ends the span; its end is where the silence began."""
    assert spans_of([1.0] * 10 + [0.0] * 12 + [1.0] * 10) == [
        Span(0, 12 * FRAME),
        Span(20 * FRAME, 34 * FRAME),
    ]


def test_a_blip_is_dropped() -> None:
    """Speech shorter than min_speech_duration_ms is no span."""
    assert spans_of([0.0] * 5 + [1.0] * 4 + [0.0] * 30) == []


def test_between_the_thresholds_speech_goes_on() -> None:
    """Between neg_threshold and threshold nothing starts and nothing ends."""
    assert spans_of([0.4] * 50) == []
    assert spans_of([1.0] * 10 + [0.4] * 50 + [0.0] * 20) == [Span(0, 62 * FRAME)]


def test_overlong_speech_is_cut_where_it_is_least_like_speech() -> None:
    """At max_speech_duration_s the span is cut at the lowest probability of its second half."""
    options = VadOptions(max_speech_duration_s=1.0, speech_pad_ms=20, min_silence_duration_ms=100)
    probabilities = [0.9] * 80 + [0.6] + [0.9] * 60 + [0.0] * 20
    assert spans_of(probabilities, options) == [Span(0, 80 * FRAME), Span(80 * FRAME, 143 * FRAME)]


@given(st.lists(st.sampled_from([0.0, 0.4, 0.6, 1.0]), max_size=400))
def test_spans_are_ordered_and_disjoint(probabilities: list[float]) -> None:
    """Whatever the probabilities, spans come in order, do not overlap, and are not empty."""
    spans = spans_of(probabilities)
    assert all(len(span) > 0 for span in spans)
    assert all(first.end <= second.start for first, second in itertools.pairwise(spans))


@given(st.lists(st.sampled_from([0.0, 0.4, 0.6, 1.0]), max_size=400))
def test_an_open_span_is_the_one_that_closes(probabilities: list[float]) -> None:
    """While a span is open, open_start already is the start that it will have."""
    segmenter = Segmenter(OPTIONS, FRAME)
    announced = None
    for probability in probabilities:
        span = segmenter.push(probability)
        if span is not None and announced is not None:
            assert span.start == announced
        announced = segmenter.open_start if segmenter.speaking else None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"neg_threshold": 0.9}, "neg_threshold is 0.9"),
        ({"speech_pad_ms": -1}, "speech_pad_ms is -1"),
        ({"speech_pad_ms": 400}, "padded spans would overlap"),
        ({"max_speech_duration_s": 0.1}, "max_speech_duration_s is 0.1"),
        ({"max_speech_duration_s": float("inf")}, "max_speech_duration_s is inf"),
        ({"max_speech_duration_s": float("nan")}, "max_speech_duration_s is nan"),
    ],
)
def test_senseless_options_are_refused(wrong: dict[str, float], named: str) -> None:
    """A senseless option raises OptionError naming the value seen."""
    with pytest.raises(OptionError, match=named):
        VadOptions(**wrong)  # type: ignore[arg-type]


def test_no_vad_takes_the_whole_clip() -> None:
    """--vad none makes one span of the whole clip, whatever is in it."""
    assert find_speech(NoVad(), np.zeros(5000, dtype=np.float32), VadOptions()) == [Span(0, 5000)]


class Counting:
    """A detector whose answer is how many frames it has seen, in thousandths."""

    frame_length = 4

    def open(self) -> vad.Scorer:
        seen = 0

        def score(frame: Samples) -> float:
            nonlocal seen
            assert frame.shape == (self.frame_length,)
            seen += 1
            return seen / 1000 + float(frame.sum())

        return one_by_one(score)


def test_frames_are_scored_in_order_however_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten and a half frames by threes: one answer each, in order, and the last frame is completed with zeros."""
    monkeypatch.setattr(vad, "AT_ONCE", 3)
    ones = np.ones(42, dtype=np.float32)
    answers = list(frame_probabilities(Counting(), ones))
    assert answers == [*[4 + seen / 1000 for seen in range(1, 11)], 2 + 11 / 1000]
    assert list(frame_probabilities(Counting(), ones[:0])) == []
