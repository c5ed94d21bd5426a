"""The lexicon: which words there are, commonest first, and how each is said.

In: a file of lines ``word TOKEN TOKEN ...``. Out: words with their tokens as columns of the log-probabilities.
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import BundleError


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """A word of the lexicon and its tokens (columns of the log-probabilities)."""

    word: str
    tokens: tuple[int, ...]


def read_lexicon(path: Path, tokens: Sequence[str]) -> list[Pronunciation]:
    """Lines ``word TOKEN TOKEN ...`` of a plain, ``.gz`` or ``.xz`` file, commonest word first.

    Raises ``BundleError`` where a line has no tokens or one that ``tokens`` (columns, by name) lacks.
    """
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    column = {token: at for at, token in enumerate(tokens)}
    lexicon = []
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            word, *names = line.split()
            try:
                lexicon.append(Pronunciation(word, tuple([column[name] for name in names])))
            except KeyError as error:
                raise BundleError(f"{path}: {line.strip()!r} uses {error}, which tokens.txt lacks") from error
            if not names:
                raise BundleError(f"{path}: {word!r} has no pronunciation")
    return lexicon
