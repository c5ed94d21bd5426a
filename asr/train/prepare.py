"""Clips in, a corpus out: every clip put through the same front end as in inference.

A clip that yields no speech, or whose text is too long for its sound, is left out and counted; nothing is
left out silently. The pauses that the front end removes are removed here as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr import audio
from asr.errors import AsrError
from asr.frontend import Frontend
from asr.manifest import Reference
from asr.train.corpus import Corpus, CorpusWriter
from asr.transcript import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

MAX_CHARACTERS_PER_SECOND = 35.0  # twice the fastest speech: beyond it the text is not of this clip


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip with what is known about it; ``samples`` is None where ``problem`` says why."""

    samples: Samples | None
    text: str
    speaker: str
    set: str
    audio: str
    phones: tuple[str, ...] | None = None
    problem: str | None = None


def clips_of_manifest(references: Iterable[Reference]) -> Iterator[Clip]:
    """Decode the rows of a manifest. Noise rows have a ``label`` in place of a ``set``."""
    for reference in references:
        values = reference.values
        samples, problem = None, None
        try:
            samples = audio.decode(reference.path)
        except AsrError as error:
            problem = type(error).__name__
        subset = values.get("set", values.get("label", ""))
        name = reference.path.name
        yield Clip(samples, reference.text, values.get("speaker", ""), subset, name, problem=problem)


def clips_of_corpus(corpus: Corpus) -> Iterator[Clip]:
    """The clips of a corpus of raw clips, such as `asr.train.synthesis` writes."""
    for entry in corpus.entries:
        samples = corpus.samples(entry).astype(np.float32) / 32768.0
        yield Clip(samples, entry.text, entry.speaker, entry.set, entry.audio, entry.phones)


def write_corpus(clips: Iterable[Clip], folder: Path, keep: Callable[[Clip], Samples | str]) -> Counter[str]:
    """Write the corpus ``folder``; returns how many clips were kept, and why others were not.

    ``keep`` gives the samples to keep of a clip, or the reason for leaving it out.
    """
    outcome: Counter[str] = Counter()
    with CorpusWriter(folder) as writer:
        for clip in clips:
            kept = clip.problem or keep(clip)
            if isinstance(kept, str):
                outcome[kept] += 1
                continue
            outcome["kept"] += 1
            writer.add(
                np.clip(np.round(kept * 32768.0), -32768, 32767).astype(np.int16),
                text=clip.text,
                phones=clip.phones,
                speaker=clip.speaker,
                set=clip.set,
                audio=clip.audio,
            )
    return outcome


def keep_speech(frontend: Frontend) -> Callable[[Clip], Samples | str]:
    """Keep what the front end hands to the model, its segments end to end."""

    def keep(clip: Clip) -> Samples | str:
        assert clip.samples is not None
        segments = frontend.prepare(clip.samples).segments
        if not segments:
            return "no speech found"
        speech = np.concatenate([segment.samples for segment in segments])
        if len(clip.text) > MAX_CHARACTERS_PER_SECOND * len(speech) / SAMPLE_RATE_HZ:
            return "text too long for the clip"
        return speech

    return keep


def keep_sound(clip: Clip) -> Samples | str:
    """Noise keeps its level and length, less digital silence at its ends: a fifth of ESC-10 is padded with it."""
    assert clip.samples is not None
    sound = np.trim_zeros(clip.samples)
    return sound if len(sound) else "digital silence"
