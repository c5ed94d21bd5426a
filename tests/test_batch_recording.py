"""``asr.batch.recording``: a recording in blocks is heard as the whole clip is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # publishes no stubs
import soxr  # type: ignore[import-untyped]  # ships no py.typed marker
from numpy.typing import NDArray

from asr.audio import DEFAULT_LIMITS, decode, decode_blocks
from asr.batch.recording import transcribe_blocks, would_be_heard
from asr.transcribe import Transcriber
from asr.transcript import SAMPLE_RATE_HZ, NullReason, Transcript

Samples = NDArray[np.float32]

DATA = Path(__file__).parents[1] / "data" / "samples"
LIMITS = replace(DEFAULT_LIMITS, max_duration_s=10_000.0)
SPOKEN = ("play_jazz.wav", "timer.flac", "red_jacket.wav")


def in_pieces(samples: Samples, seed: int) -> Iterator[Samples]:
    """The samples cut at random places."""
    cuts = np.sort(np.random.default_rng(seed).integers(0, len(samples), 30))
    yield from np.split(samples, cuts)


def same(first: Transcript, second: Transcript) -> None:
    """Everything that a row says is the same; sums of floats differ in their last digits."""
    left, right = first.as_dict(), second.as_dict()
    statistics = left.pop("clip"), right.pop("clip")
    assert left == right
    assert statistics[0] == pytest.approx(statistics[1], abs=1e-3)


def spoken() -> Samples:
    """Three queries with pauses between them, cut close at both ends, one of them almost inaudible."""
    clips = [decode(DATA / name) for name in SPOKEN]
    clips[1] = clips[1] * np.float32(0.01)
    pause = np.zeros(SAMPLE_RATE_HZ, np.float32)
    return np.concatenate([clips[0][4000:], pause, clips[1], pause, clips[2][:-3000]])


@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_heard_as_the_whole_clip(transcriber: Transcriber, seed: int) -> None:
    """Wherever it is cut: text, times, confidence and statistics are those of `Transcriber.transcribe`."""
    samples = spoken()
    whole = transcriber.transcribe(samples)
    assert len(whole.words) >= 8
    same(transcribe_blocks(transcriber, lambda: in_pieces(samples, seed)), whole)


@pytest.mark.parametrize("dbfs", [None, -90.0, -75.0, -30.0])
def test_recordings_without_text_have_the_reason_of_the_whole_clip(
    transcriber: Transcriber, dbfs: float | None
) -> None:
    """Digital silence, noise, and speech that is too quiet to hear."""
    samples = np.zeros(3 * SAMPLE_RATE_HZ, np.float32)
    if dbfs is not None:
        samples = decode(DATA / "play_jazz.wav")
        samples = samples * np.float32(10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2)))
    whole = transcriber.transcribe(samples)
    same(transcribe_blocks(transcriber, lambda: in_pieces(samples, 0)), whole)
    assert (whole.null_reason is None) == (dbfs == -30.0)


def test_what_is_found_only_when_louder_is_too_quiet(transcriber: Transcriber) -> None:
    """A recording so quiet that nothing is found is read again, raised: then it was too quiet."""
    quiet = decode(DATA / "play_jazz.wav") * np.float32(10 ** (-65 / 20))
    assert would_be_heard(transcriber.frontend, lambda: in_pieces(quiet, 0))
    transcript = transcribe_blocks(transcriber, lambda: in_pieces(quiet, 0))
    assert transcript.null_reason is NullReason.TOO_QUIET
    same(transcript, transcriber.transcribe(quiet))


@pytest.mark.parametrize("samples", [0, 1000])
def test_next_to_nothing_is_too_short(transcriber: Transcriber, samples: int) -> None:
    """As in a whole clip."""
    sound = decode(DATA / "play_jazz.wav")[8000 : 8000 + samples]
    same(transcribe_blocks(transcriber, lambda: iter([sound])), transcriber.transcribe(sound))


def test_words_at_the_end_of_two_hours_are_in_their_place(transcriber: Transcriber, tmp_path: Path) -> None:
    """Queries at the beginning, the middle and the end of a two-hour file of 8 kHz: times right to 50 ms."""
    rate_hz, settled_s = 8000, 60
    query = soxr.resample(decode(DATA / "play_jazz.wav"), SAMPLE_RATE_HZ, rate_hz)
    starts = [rate_hz * second + 80 for second in (settled_s, 3600, 2 * 3600 - 10)]
    path = tmp_path / "two_hours.flac"
    with soundfile.SoundFile(path, "w", rate_hz, 1, "PCM_16", format="FLAC") as file:
        at = 0
        for start in starts:
            file.write(np.zeros(start - at, np.float32))
            file.write(query)
            at = start + len(query)
        file.write(np.zeros(2 * 3600 * rate_hz - at, np.float32))
    alone = transcriber.transcribe(np.pad(query, (settled_s * rate_hz, rate_hz)), rate_hz).words
    transcript = transcribe_blocks(transcriber, lambda: decode_blocks(path, LIMITS))
    assert transcript.clip.duration_s == pytest.approx(7200.0, abs=1e-3)
    assert [word.text for word in transcript.words] == 3 * [word.text for word in alone]
    for number, start in enumerate(starts):
        found = transcript.words[number * len(alone) : (number + 1) * len(alone)]
        shift = start / rate_hz - settled_s
        for word, expected in zip(found, alone, strict=True):
            times = (word.span.start, word.span.end), (expected.span.start, expected.span.end)
            assert np.abs(np.subtract(*times) / SAMPLE_RATE_HZ - shift).max() <= 0.05
