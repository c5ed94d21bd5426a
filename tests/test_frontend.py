"""The composition: what is kept of a clip, its statistics, and the typed reasons for keeping nothing."""

from __future__ import annotations

import numpy as np
import pytest

from asr.errors import OptionError
from asr.frontend import Frontend, FrontendOptions, clip_stats
from asr.loudness import active_speech_level
from asr.transcript import NullReason, Span
from asr.vad import Samples, Scorer, VadOptions

RATE = 16_000


class EnergyVad:
    """Speech is whatever exceeds -50 dBFS: a detector whose answers a test can compute."""

    frame_length = 160

    def open(self) -> Scorer:
        return lambda frames: (np.sqrt(np.mean(frames**2, axis=1)) > 10 ** (-50 / 20)).astype(np.float64)


def frontend(**options: object) -> Frontend:
    made = Frontend(FrontendOptions(**options))  # type: ignore[arg-type]
    made.vad = EnergyVad()
    return made


def burst(seconds: float, rms: float = 0.02) -> Samples:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(int(seconds * RATE)) * rms).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), dtype=np.float32)


def test_speech_is_trimmed_with_padding() -> None:
    """A second of sound between two of silence keeps 200 ms on each side."""
    prepared = frontend().prepare(np.concatenate([silence(2), burst(1), silence(2)]))
    assert [segment.span for segment in prepared.segments] == [Span(int(1.8 * RATE), int(3.2 * RATE))]
    assert len(prepared.segments[0].samples) == int(1.4 * RATE)


def test_speech_is_brought_to_the_target_level() -> None:
    """Whatever its level, a segment leaves at -26 dBFS within a decibel."""
    for rms in (0.005, 0.05, 0.3):
        segment = frontend().prepare(burst(2, rms)).segments[0]
        assert 20 * np.log10(np.sqrt(np.mean(segment.samples**2))) == pytest.approx(-26, abs=1.0)


def test_gain_is_bounded() -> None:
    """The gain never exceeds max_gain_db."""
    prepared = frontend(max_gain_db=6.0).prepare(burst(2, 0.01))
    assert prepared.clip.gain_db == 6.0


def test_statistics_describe_the_original_clip() -> None:
    """Duration, silence at the ends and speech ratio are those before anything was done."""
    clip = frontend().prepare(np.concatenate([silence(1), burst(2), silence(1.5)])).clip
    assert clip.duration_s == 4.5
    assert clip.leading_silence_s == pytest.approx(0.8)
    assert clip.trailing_silence_s == pytest.approx(1.3)
    assert clip.speech_ratio == pytest.approx(2.4 / 4.5)
    assert clip.level_dbfs == pytest.approx(-34, abs=1.0)
    assert clip.snr_db == 80.0  # digital silence around it


@pytest.mark.parametrize("edges_s", [(1.0, 1.0), (0.0, 1.0), (0.0, 0.0)])
def test_the_level_of_a_clip_is_that_of_its_speech_within_it(edges_s: tuple[float, float]) -> None:
    """With room around the speech that is the segment's own level; silence padded behind a close cut is not counted."""
    samples = np.concatenate([silence(edges_s[0]), burst(2.0), silence(edges_s[1])])
    prepared = frontend().prepare(samples)
    (segment,) = prepared.segments
    speech = samples[segment.span.start : segment.span.end]
    assert prepared.clip == clip_stats(samples, [segment.span], FrontendOptions())
    assert prepared.clip.level_dbfs == active_speech_level(speech)
    assert (prepared.clip.level_dbfs == segment.level_dbfs) == (edges_s[1] > 0)


def test_snr_is_estimated_from_the_quietest_frames() -> None:
    """Sound at -34 dBFS over noise at -64 dBFS has an SNR of 30 dB within 2 dB."""
    noise = burst(4, 10 ** (-64 / 20))
    noise[RATE : 3 * RATE] += burst(2)
    clip = clip_stats(noise, [Span(RATE, 3 * RATE)], FrontendOptions())
    assert clip.snr_db == pytest.approx(30, abs=2)


def test_silence_is_no_speech() -> None:
    """Digital silence has the reason no_speech and no segments."""
    prepared = frontend().prepare(silence(2))
    assert prepared.null_reason is NullReason.NO_SPEECH
    assert prepared.segments == ()
    assert prepared.clip.level_dbfs is None


def test_an_empty_or_tiny_clip_is_too_short() -> None:
    """Under 100 ms a clip is too_short, an empty one too."""
    assert frontend().prepare(silence(0)).null_reason is NullReason.TOO_SHORT
    assert frontend().prepare(burst(0.09)).null_reason is NullReason.TOO_SHORT


def test_silence_is_judged_before_gain() -> None:
    """Sound at -70 dBFS is too_quiet although gain could raise it."""
    assert frontend().prepare(burst(2, 10 ** (-70 / 20))).null_reason is NullReason.TOO_QUIET


def test_loud_speech_does_not_excuse_quiet_speech() -> None:
    """Each segment is judged alone, as a stream must: the quiet one is left out, the loud one kept."""
    made = frontend(min_level_dbfs=-40.0)
    prepared = made.prepare(np.concatenate([burst(1, 0.05), silence(1), burst(1, 0.005)]))
    assert prepared.null_reason is None
    assert [segment.span for segment in prepared.segments] == [Span(0, int(1.2 * RATE))]


def test_options_survive_the_bundle() -> None:
    """Options written to bundle.json read back equal."""
    options = FrontendOptions(vad="none", vad_options=VadOptions(threshold=0.7), max_gain_db=12.0)
    assert FrontendOptions.from_dict(options.as_dict()) == options


def test_unknown_options_are_refused() -> None:
    """A misspelt option or detector raises OptionError instead of being ignored."""
    with pytest.raises(OptionError, match="treshold"):
        FrontendOptions.from_dict({"vad_options": {"treshold": 1.0}})
    with pytest.raises(OptionError, match="'nural'"):
        FrontendOptions(vad="nural")
