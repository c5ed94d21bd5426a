"""Manifest in, corpus out: every clip decoded and put through the same front end as in inference.

A clip that yields no speech, or whose text is too long for its sound, is left out and counted; nothing is
left out silently. The pauses that the front end removes are removed here as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr import audio
from asr.errors import AsrError
from asr.frontend import Frontend
from asr.manifest import Reference
from asr.train.corpus import Corpus, CorpusWriter

MAX_CHARACTERS_PER_SECOND = 35.0  # twice the fastest speech: beyond it the text is not of this clip


def prepare_manifest(references: Iterable[Reference], folder: Path, frontend: Frontend) -> Counter[str]:
    """Write the corpus ``folder`` from a manifest; returns how many clips were kept and why others were not."""
    outcome: Counter[str] = Counter()
    with CorpusWriter(folder) as writer:
        for reference in references:
            try:
                samples = audio.decode(reference.path)
            except AsrError as error:
                outcome[type(error).__name__] += 1
                continue
            levelled = _speech_of(samples, frontend)
            reason = _reject(levelled, reference.text)
            outcome[reason or "kept"] += 1
            if reason is None and levelled is not None:
                writer.add(
                    _to_int16(levelled),
                    text=reference.text,
                    speaker=reference.values.get("speaker", ""),
                    set=reference.values.get("set", reference.values.get("label", "")),
                    audio=reference.path.name,
                )
    return outcome


def prepare_corpus(source: Corpus, folder: Path, frontend: Frontend) -> Counter[str]:
    """The same for a corpus of raw clips, such as `asr.train.synthesis` writes."""
    outcome: Counter[str] = Counter()
    with CorpusWriter(folder) as writer:
        for entry in source.entries:
            samples = source.samples(entry).astype(np.float32) / 32768.0
            levelled = _speech_of(samples, frontend)
            reason = _reject(levelled, entry.text)
            outcome[reason or "kept"] += 1
            if reason is None and levelled is not None:
                writer.add(
                    _to_int16(levelled),
                    text=entry.text,
                    phones=entry.phones,
                    speaker=entry.speaker,
                    set=entry.set,
                    audio=entry.audio,
                )
    return outcome


def prepare_noise(references: Iterable[Reference], folder: Path) -> Counter[str]:
    """Noise keeps its level and length: the augmentation scales it against speech."""
    outcome: Counter[str] = Counter()
    with CorpusWriter(folder) as writer:
        for reference in references:
            samples = np.trim_zeros(audio.decode(reference.path))  # a fifth of ESC-10 ends in digital silence
            if len(samples) == 0:
                outcome["silent"] += 1
                continue
            outcome["kept"] += 1
            writer.add(
                _to_int16(samples),
                text="",
                speaker="",
                set=reference.values.get("set", reference.values.get("label", "")),
                audio=reference.path.name,
            )
    return outcome


def _speech_of(samples: NDArray[np.float32], frontend: Frontend) -> NDArray[np.float32] | None:
    segments = frontend.prepare(samples).segments
    return np.concatenate([segment.samples for segment in segments]) if segments else None


def _reject(samples: NDArray[np.float32] | None, text: str) -> str | None:
    if samples is None:
        return "no speech found"
    if len(text) / (len(samples) / 16_000) > MAX_CHARACTERS_PER_SECOND:
        return "text too long for the clip"
    return None


def _to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
