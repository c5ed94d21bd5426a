"""A corpus on disk that can be read at random without decoding: one file of samples, one index.

    corpus/
      samples.i16     all clips end to end, int16 little-endian mono at 16 kHz
      index.jsonl     one object a clip: offset, length (samples), text, phones, speaker, set, audio

Reading goes through a memory map, so a training run costs no decoding and no memory of its own.
``phones`` is a list of ARPAbet symbols without stress, or null where the lexicon must supply them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip of a corpus: where its samples are and what was said."""

    offset: int
    length: int
    text: str
    phones: tuple[str, ...] | None
    speaker: str
    set: str
    audio: str


class CorpusWriter:
    """Appends clips to a corpus. A context manager; what was written before a crash stays readable."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._samples = (folder / "samples.i16").open("wb")
        self._index = (folder / "index.jsonl").open("w", encoding="utf-8")
        self._offset = 0

    def add(
        self,
        samples: NDArray[np.int16],
        *,
        text: str,
        speaker: str,
        set: str,
        audio: str,
        phones: Sequence[str] | None = None,
    ) -> None:
        """Append one clip (int16, shape ``(n,)``, 16 kHz)."""
        assert samples.dtype == np.int16, samples.dtype
        assert samples.ndim == 1, samples.shape
        self._samples.write(samples.astype("<i2", copy=False).tobytes())
        entry = Entry(
            self._offset, len(samples), text, None if phones is None else tuple(phones), speaker, set, audio
        )
        self._index.write(json.dumps(asdict(entry)) + "\n")
        self._offset += len(samples)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._samples.close()
        self._index.close()


class Corpus:
    """Reads a corpus: ``corpus.entries[i]`` and ``corpus.samples(entry)``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries = tuple(_read_index(folder / "index.jsonl"))
        self._samples = np.memmap(folder / "samples.i16", dtype="<i2", mode="r")

    def samples(self, entry: Entry) -> NDArray[np.int16]:
        """Samples of one clip: int16, shape ``(entry.length,)``; a view of the memory map."""
        return self._samples[entry.offset : entry.offset + entry.length]


def _read_index(path: Path) -> list[Entry]:
    entries = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            phones = row.pop("phones")
            entries.append(Entry(phones=None if phones is None else tuple(phones), **row))
    return entries
