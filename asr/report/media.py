"""Examples to see and hear: cuts of clips, written beside the page, with the words that lie over the picture.

Utterances in; files in a folder, and an `Exhibit` for the page, out. A clip that cannot be read has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from asr import audio
from asr.alignment import Kind
from asr.errors import AudioError
from asr.report.pictures import Samples, cut, spectrogram, wav
from asr.report.utterances import Utterance
from asr.transcript import SAMPLE_RATE_HZ, Span

LONGEST = 12 * SAMPLE_RATE_HZ  # of a whole utterance; what follows is left out


@dataclass(frozen=True, slots=True)
class Mark:
    """A heard word over the picture, from ``left`` on, ``width`` wide (percent of the picture)."""

    text: str
    left: float
    width: float
    wrong: bool


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Files (relative to the page), the seconds that they show of the clip, and the words in them."""

    picture: str
    sound: str
    start_s: float
    end_s: float
    marks: tuple[Mark, ...]


class Gallery:
    """Writes examples into ``folder``/media; the last clips read are kept, as their examples follow each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "media"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._count = 0
        self._read = lru_cache(maxsize=8)(audio.decode)

    def show(self, utterance: Utterance, span: Span | None) -> Exhibit | None:
        """The utterance around ``span``, or from its beginning where the time is not known."""
        try:
            samples: Samples = self._read(utterance.judgement.reference.path)
        except (AudioError, OSError):
            return None
        piece = cut(samples, span) if span is not None else cut(samples[:LONGEST], None)
        self._count += 1
        name = f"{self._count:03d}"
        (self._folder / f"{name}.png").write_bytes(spectrogram(piece.samples))
        (self._folder / f"{name}.wav").write_bytes(wav(piece.samples))
        return Exhibit(
            f"media/{name}.png",
            f"media/{name}.wav",
            piece.span.start / SAMPLE_RATE_HZ,
            piece.span.end / SAMPLE_RATE_HZ,
            tuple(marks(utterance, piece.span)),
        )


def marks(utterance: Utterance, window: Span) -> Iterable[Mark]:
    """Heard words that lie in the window at least in part; one that is not is left out."""
    wrong = {edit.hypothesis for edit in utterance.edits if edit.kind is not Kind.CORRECT}
    for at, token in enumerate(utterance.heard):
        if token.span is None or token.span.end <= window.start or token.span.start >= window.end:
            continue
        start, end = max(token.span.start, window.start), min(token.span.end, window.end)
        percent = 100.0 / max(len(window), 1)
        yield Mark(token.text, (start - window.start) * percent, (end - start) * percent, at in wrong)
