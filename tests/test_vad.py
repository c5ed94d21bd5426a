"""Segmenting: from probabilities to spans, whatever the detector."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.errors import OptionError
from asr.transcript import Span
from asr.vad import NoVad, Segmenter, VadOptions, find_speech, frame_probabilities
from asr.webrtc import Steadiness, WebRtcVad

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


def test_webrtc_hears_nothing_in_digital_silence() -> None:
    """Digital silence never has a probability above zero."""
    assert max(frame_probabilities(WebRtcVad(), np.zeros(16_000, dtype=np.float32))) == 0.0


def test_streams_of_one_detector_are_independent() -> None:
    """Two scorers of one detector keep separate states."""
    vad = WebRtcVad()
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal(16_000) * 0.1).astype(np.float32)
    alone = list(frame_probabilities(vad, noise))
    first, second = vad.open(), vad.open()
    interleaved = []
    for start in range(0, len(noise), FRAME):
        interleaved += first(noise[None, start : start + FRAME]).tolist()
        second(np.zeros((1, FRAME), dtype=np.float32))
    assert interleaved == alone


def coloured(rng: np.random.Generator, slope: float, seconds: float = 5.0) -> NDArray[np.float32]:
    """Noise whose amplitude falls with the frequency to the power ``slope``: 0 white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(int(16_000 * seconds)))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    spectrum[: int(20 * seconds)] = 0.0  # nothing under 20 Hz
    sound = np.fft.irfft(spectrum)
    return np.asarray(sound / sound.std(), dtype=np.float32)


def steady_share(samples: NDArray[np.float32]) -> float:
    """Share of frames that `Steadiness` calls steady."""
    steadiness = Steadiness()
    answers = [
        steadiness(samples[start : start + FRAME]) for start in range(0, len(samples) - FRAME + 1, FRAME)
    ]
    return sum(answers) / len(answers)


@pytest.mark.parametrize("level_dbfs", [-60, -30, -3])
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_noise_is_steady_at_any_level(slope: float, level_dbfs: float) -> None:
    """White, pink and brown noise: at most one frame in a hundred passes for a change."""
    noise = coloured(np.random.default_rng(0), slope) * np.float32(10 ** (level_dbfs / 20))
    assert steady_share(noise) >= 0.99


@pytest.mark.parametrize(
    "frequencies_hz", [(440.0,), (261.6, 329.6, 392.0), tuple(50.0 * k for k in range(1, 13))]
)
def test_held_tones_are_steady(frequencies_hz: tuple[float, ...]) -> None:
    """A tone, a chord, mains hum with its harmonics: always."""
    time_s = np.arange(32_000) / 16_000
    tones = sum(np.sin(2 * np.pi * frequency * time_s) for frequency in frequencies_hz)
    assert steady_share(np.asarray(tones, dtype=np.float32)) == 1.0


def test_an_onset_ends_steadiness_within_its_padding() -> None:
    """Louder sound after a second of hiss is noticed within 60 ms, less than the padding before a span."""
    rng = np.random.default_rng(0)
    sound = coloured(rng, 0.0, 2.0) * np.float32(1e-3)
    sound[16_000:] += coloured(rng, 1.0, 1.0) * np.float32(1e-2)
    steadiness = Steadiness()
    answers = [steadiness(sound[start : start + FRAME]) for start in range(0, len(sound), FRAME)]
    assert all(answers[:100])
    assert 100 <= answers.index(False) < 106
    assert all(answers[160:])  # and what goes on unchanged is steady again within 600 ms


def test_webrtc_ignores_steady_noise_but_not_its_end() -> None:
    """Pink noise at -30 dBFS has no speech in it; the same noise that swells four times a second may."""
    noise = coloured(np.random.default_rng(0), 0.5) * np.float32(0.03)
    assert find_speech(WebRtcVad(), noise, VadOptions()) == []
    swell = np.sin(np.linspace(0, 2 * np.pi * 4 * 5, len(noise))) ** 8
    assert find_speech(WebRtcVad(), (noise * swell).astype(np.float32), VadOptions()) != []
