"""asr.foreground: the soft ends of a segment are left out, and nothing within it."""

from __future__ import annotations

import numpy as np
import pytest

from asr.errors import OptionError
from asr.foreground import foreground
from asr.frontend import Frontend, FrontendOptions
from asr.loudness import Samples, active_speech_level
from asr.transcript import Span


def parts(*levels_and_seconds: tuple[float, float]) -> Samples:
    """White noise at so many dBFS for so many seconds, part after part."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [
            rng.standard_normal(round(seconds * 16_000)) * 10.0 ** (dbfs / 20.0)
            for dbfs, seconds in levels_and_seconds
        ]
    ).astype(np.float32)


def cut(samples: Samples, pad_ms: int = 500) -> tuple[float, float]:
    """In seconds, at the default range."""
    begin, end = foreground(samples, active_speech_level(samples), 12.0, pad_ms)
    return begin / 16_000, end / 16_000


def test_softer_ends_are_left_out() -> None:
    """Two seconds 20 dB softer on both sides: half a second of each stays, give or take the smoothing."""
    assert cut(parts((-46, 2), (-26, 1), (-46, 2))) == pytest.approx((1.5, 3.5), abs=0.06)


def test_pauses_and_soft_words_within_stay() -> None:
    """What is soft between two loud parts is part of the segment; ends that are 8 dB softer stay as well."""
    assert cut(parts((-26, 1), (-60, 2), (-26, 1))) == (0.0, 4.0)
    assert cut(parts((-34, 1), (-26, 1), (-34, 1))) == (0.0, 3.0)


def test_the_cut_moves_with_the_sound_and_not_with_its_level() -> None:
    """10 ms more in front move it by 10 ms; 20 dB less change nothing."""
    sound = parts((-46, 2), (-26, 1), (-46, 2))
    begin, end = cut(sound)
    later = np.concatenate([np.zeros(160, np.float32), sound])
    assert cut(later) == pytest.approx((begin + 0.01, end + 0.01), abs=1e-9)
    assert cut(sound * np.float32(0.1)) == (begin, end)


def test_what_is_too_short_or_silent_is_left_alone() -> None:
    """Less than a tenth of a second, and digital silence."""
    assert cut(parts((-26, 0.05))) == (0.0, 0.05)
    assert cut(np.zeros(16_000, np.float32)) == (0.0, 1.0)


def test_a_segment_knows_where_its_foreground_lies() -> None:
    """The front end's segment begins and ends with the foreground, in samples of the clip, at the standard level."""
    sound = parts((-50, 2), (-30, 1), (-50, 2))
    segment = Frontend().segment(sound, 4_800, Span(0, 4_800 + len(sound)))
    assert segment.first == segment.span.start == pytest.approx(4_800 + 1.5 * 16_000, abs=960)
    assert segment.span.end == pytest.approx(4_800 + 3.5 * 16_000, abs=960)
    assert len(segment.samples) == segment.span.end - segment.span.start
    assert active_speech_level(segment.samples) == pytest.approx(-26.0, abs=0.3)


@pytest.mark.parametrize(("name", "value"), [("foreground_range_db", 0.0), ("foreground_pad_ms", -1)])
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    """A range of nothing and a negative pad raise OptionError naming the value."""
    with pytest.raises(OptionError, match=f"{name} (is )?{value}"):
        FrontendOptions(**{name: value})  # type: ignore[arg-type]
