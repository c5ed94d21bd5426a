"""PCM in pieces: whatever the cut, the format and the rate, the samples are those of the whole clip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import from_samples
from asr.errors import AudioLimitError, UnsupportedAudioError
from serving.pcm import PcmFormat, PcmReader, Samples

RNG = np.random.default_rng(0)
NOISE = RNG.integers(-20_000, 20_000, 12_001).astype("<i2")


def read(form: PcmFormat, data: bytes, cuts: list[int]) -> Samples:
    """All samples of ``data``, fed in pieces that end at ``cuts``."""
    reader = PcmReader(form)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    parts = [reader.feed(data[start:end]) for start, end in itertools.pairwise(edges)]
    return np.concatenate([*parts, reader.finish()])


@given(st.lists(st.integers(0, 24_002)), st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]))
def test_the_cut_changes_nothing(cuts: list[int], rate_hz: int) -> None:
    """C4: to the last bit what `asr.audio` makes of the whole clip, also where a sample is cut in two."""
    assert np.array_equal(read(PcmFormat(rate_hz), NOISE.tobytes(), cuts), from_samples(NOISE, rate_hz))


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (1, (NOISE // 256 + 128).astype(np.uint8).tobytes()),
        (3, b"".join((int(value) * 256).to_bytes(3, "little", signed=True) for value in NOISE)),
        (4, (NOISE.astype("<i4") * 65_536).tobytes()),
    ],
)
def test_every_width_is_the_same_sound(width: int, data: bytes) -> None:
    """Samples of 1 (unsigned), 3 and 4 bytes are those of 2 bytes, within what they can express."""
    samples = read(PcmFormat(width=width), data, [7, 1_000])
    assert np.allclose(samples, NOISE / 32_768, atol=1 / 128 if width == 1 else 1e-7)


def test_channels_are_averaged() -> None:
    """A frame of two channels becomes their mean, and half a frame waits."""
    stereo = np.array([[1_000, 3_000], [-2_000, 0]], "<i2").tobytes()
    assert read(PcmFormat(channels=2), stereo, [1, 3, 5]).tolist() == [2_000 / 32_768, -1_000 / 32_768]


def test_half_a_sample_at_the_end_is_dropped() -> None:
    """Nobody can say what it would have been."""
    assert read(PcmFormat(), b"\x00\x40\x01", []).tolist() == [0.5]


def test_seconds_of_bytes() -> None:
    """Rate, width and channels all count."""
    assert PcmFormat(48_000, 4, 2).seconds(48_000 * 8) == 1.0


@pytest.mark.parametrize(
    ("form", "error", "says"),
    [
        ((7_999, 2, 1), AudioLimitError, "sample rate 7999 Hz, expected 8000 to 48000"),
        ((16_000, 5, 1), UnsupportedAudioError, "samples of 5 bytes"),
        ((16_000, 2, 9), AudioLimitError, "9 channels, expected 1 to 8"),
    ],
)
def test_other_formats_are_refused(form: tuple[int, int, int], error: type[Exception], says: str) -> None:
    """The message names the value and the limit."""
    with pytest.raises(error, match=says):
        PcmFormat(*form)
