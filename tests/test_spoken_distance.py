"""``asr.spoken_distance``: the same words sound alike, other words do not, whatever the level and the noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import Samples, decode
from asr.frontend import Frontend
from asr.spoken_distance import CEPSTRA, FEWEST, HOP, LONGEST_S, WINDOW, sketch, spoken_distance

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
RATE = 16_000
SHORTEST = WINDOW + (FEWEST - 1) * HOP


def speech(name: str) -> Samples:
    """The speech of a sample."""
    (segment,) = Frontend().prepare(decode(SAMPLES / name)).segments
    return segment.samples


def distance(one: Samples, other: Samples) -> float:
    """Of two clips that are long enough."""
    a, b = sketch(one), sketch(other)
    assert a is not None
    assert b is not None
    assert spoken_distance(a, b) == pytest.approx(spoken_distance(b, a), abs=1e-5)
    return spoken_distance(a, b)


def slower(samples: Samples, factor: float) -> Samples:
    """Lower and slower, as a tape: pitch and formants move, too."""
    places = np.arange(0, len(samples) - 1, 1 / factor)
    return np.asarray(np.interp(places, np.arange(len(samples)), samples), dtype=np.float32)


def noisy(samples: Samples, snr_db: float, seed: int = 0) -> Samples:
    """With white noise."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0, len(samples))
    scale = float(np.sqrt(np.mean(np.square(samples))) * 10 ** (-snr_db / 20))
    return np.asarray(samples + scale * noise, dtype=np.float32)


def test_a_clip_sounds_like_itself() -> None:
    """Whatever its level, and also inside a longer one."""
    jacket, jazz = speech("red_jacket.wav"), speech("play_jazz.wav")
    assert distance(jacket, jacket) == pytest.approx(0.0, abs=1e-3)
    assert distance(jacket, 0.05 * jacket) == pytest.approx(0.0, abs=0.02)
    assert distance(jacket, np.concatenate([jazz, jacket])) < 0.2


def test_said_again_in_another_tone_it_is_nearer_than_other_words() -> None:
    """Slower or faster, lower or higher, in other noise."""
    jacket, jazz = speech("red_jacket.wav"), speech("play_jazz.wav")
    other = distance(jacket, jazz)
    for factor in (0.9, 1.1):
        again = distance(noisy(jacket, 15.0, 1), noisy(slower(jacket, factor), 15.0, 2))
        assert again < 0.6 * other
    assert other > 0.5


def test_a_sketch_is_small_and_bounded() -> None:
    """Half a kilobyte a second, and no more than that of its longest."""
    made = sketch(noisy(speech("play_jazz.wav"), 20.0))
    assert made is not None
    assert made.dtype == np.int8
    assert made.shape[1] == 2 * CEPSTRA
    long = sketch(np.random.default_rng(0).normal(0, 0.1, 30 * RATE).astype(np.float32))
    assert long is not None
    assert long.nbytes <= 500 * LONGEST_S


def test_what_is_too_short_is_compared_with_nothing() -> None:
    """A sound of a third of a second is somewhere in every clip."""
    assert sketch(np.zeros(SHORTEST - 1, np.float32)) is None
    assert sketch(np.zeros(0, np.float32)) is None
    made = sketch(np.zeros(SHORTEST, np.float32))
    assert made is not None
    assert len(made) == FEWEST


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(SHORTEST, 3 * RATE), st.floats(0.0, 1.0)), min_size=2, max_size=2),
    st.integers(0, 9),
)
def test_a_distance_is_between_0_and_1(clips: list[tuple[int, float]], seed: int) -> None:
    """Of noise, silence, and constant sounds, too; and it is the same both ways."""
    rng = np.random.default_rng(seed)
    one, other = (
        (level * rng.choice([np.ones(length), rng.normal(size=length)])).astype(np.float32)
        for length, level in clips
    )
    assert 0.0 <= distance(one, other) <= 1.0
