"""Acceptance C1, C2, C3 and C5 with the shipped model, measured as `scripts/check_robustness` does on a few clips."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from asr.audio import decode
from asr.frontend import Frontend
from asr.loudness import active_speech_level
from asr.transcribe import Transcriber
from asr.vad import find_speech
from asr.wer import ErrorCounts, word_errors

ROOT = Path(__file__).parent.parent


def script() -> ModuleType:
    """``scripts/check_robustness`` as a module."""
    loader = importlib.machinery.SourceFileLoader(
        "check_robustness", str(ROOT / "scripts" / "check_robustness")
    )
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # where dataclasses look up their annotations
    loader.exec_module(module)
    return module


CHECK = script()
SOUNDS = CHECK.sounds()
ENCODINGS = CHECK.encodings()
CLIPS = [
    CHECK.Clip(text, CHECK.on_16_bits(decode(ROOT / "data" / "samples" / name)))
    for name, text in (
        ("play_jazz.wav", "play some jazz music"),
        ("phone_number.flac", "five five five zero one nine two"),
    )
]
WORDS = 11  # in these clips: one more wrong word is 9 points, so a set this small is held to its own texts


@pytest.fixture(scope="module")
def plain(transcriber: Transcriber) -> list[Any]:
    """The transcripts of the clips as they are."""
    return [transcriber.transcribe(clip.samples) for clip in CLIPS]


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_without_speech_gives_no_text(name: str, transcriber: Transcriber) -> None:
    """C1: silence, noise, hum, tones, keyboard, clicks: no text, and a reason that is right."""
    samples, reasons = SOUNDS[name]
    transcript = transcriber.transcribe(samples)
    assert transcript.text == ""
    assert transcript.null_reason in reasons


@pytest.mark.parametrize(
    "name", [name for name in SOUNDS if "noise" in name or name in ("tone, 440 Hz", "chord")]
)
def test_a_steady_sound_is_not_even_heard(name: str) -> None:
    """C1: hiss and held tones do not reach a model, so no model can invent words for them."""
    frontend = Frontend()
    assert find_speech(frontend.vad, SOUNDS[name][0], frontend.options.vad_options) == []


@pytest.mark.parametrize("level_dbfs", [-50.0, -35.0, -6.0])
def test_level_does_not_change_the_errors(level_dbfs: float, transcriber: Transcriber) -> None:
    """C2: at most one more word of the clips is wrong than at -20 dBFS."""

    def at(target: float) -> Any:
        return lambda samples: CHECK.on_16_bits(
            CHECK.amplified(samples, target - active_speech_level(samples))
        )

    base, _ = CHECK.outcome(transcriber.transcribe, CLIPS, at(-20.0))
    assert CHECK.outcome(transcriber.transcribe, CLIPS, at(level_dbfs))[0] <= base + 1 / WORDS + 1e-9


def test_clipping_does_not_hide_speech(transcriber: Transcriber, plain: list[Any]) -> None:
    """C2: driven 12 dB over full scale, the same stretch is found and has text, and the clip says it is clipped.

    How many words are wrong is for `scripts/check_robustness`: two clips are too few for a bar of 3 points.
    """
    for clip, heard in zip(CLIPS, plain, strict=True):
        clipped = transcriber.transcribe(CHECK.overdriven(clip.samples))
        assert clipped.text != ""
        assert clipped.clip.clipped_ratio > 0.01 > heard.clip.clipped_ratio
        assert clipped.clip.speech_ratio == pytest.approx(heard.clip.speech_ratio, abs=0.1)


@pytest.mark.parametrize(("before", "after"), [(10, 0), (330, 0), (1000, 0), (0, 10), (0, 1000), (490, 490)])
def test_silence_at_the_ends_moves_the_words(
    before: int, after: int, transcriber: Transcriber, plain: list[Any]
) -> None:
    """C3: with milliseconds of silence before and after, the same text, its words later by what was added."""
    for clip, heard in zip(CLIPS, plain, strict=True):
        padded = transcriber.transcribe(np.pad(clip.samples, (before * 16, after * 16)))
        assert padded.text == heard.text
        assert CHECK.word_shift_ms(heard, padded, before * 16) <= CHECK.WORD_SHIFT_MS


@pytest.mark.parametrize("name", [name for name in ENCODINGS if name.startswith(CHECK.EXACT)])
def test_an_encoding_without_loss_changes_nothing(
    name: str, transcriber: Transcriber, plain: list[Any]
) -> None:
    """C5: the transcripts are equal to the last bit: text, times, confidences, statistics."""
    assert [transcriber.transcribe(ENCODINGS[name](clip.samples)) for clip in CLIPS] == plain


@pytest.mark.parametrize("name", [name for name in ENCODINGS if not name.startswith(CHECK.EXACT)])
def test_other_rates_and_codecs_change_few_words(
    name: str, transcriber: Transcriber, plain: list[Any]
) -> None:
    """C5: resampled or coded with loss, at most one more word is wrong; at 8 kHz, two."""
    counts = [word_errors(clip.text, heard.text) for clip, heard in zip(CLIPS, plain, strict=True)]
    base = sum(counts, ErrorCounts()).rate
    allowed = 2 if name.startswith("8 kHz") else 1
    assert CHECK.outcome(transcriber.transcribe, CLIPS, ENCODINGS[name])[0] <= base + allowed / WORDS + 1e-9


def test_the_table_marks_what_missed() -> None:
    """A missed bar stands out, and columns are aligned."""
    rows = [
        CHECK.difference("C2", "-50 dBFS", 0.25, 0.25, 0.01),
        CHECK.difference("C2", "clipped", 0.3, 0.25, 0.03),
    ]
    assert CHECK.table(rows).splitlines() == [
        "    condition  measured            bar     ok",
        "C2  -50 dBFS   WER 0.250 (+0.000)  +0.010  ok",
        "C2  clipped    WER 0.300 (+0.050)  +0.030  MISSED",
    ]
