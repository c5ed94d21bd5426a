"""How words are said with a bundle's tokens: as its lexicon has them, else as its model of pronunciation says.

Where the tokens are letters, a word is said as it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from asr.bundle import BundleInfo
from asr.g2p import GraphemeToPhone
from asr.letters import spellings
from asr.lexicon import read_lexicon

_REMEMBERED = 100_000  # words; one that no lexicon has takes some 2 ms

Phones = tuple[str, ...]
Pronounce = Callable[[str], list[Phones]]


def pronouncer(folder: Path, info: BundleInfo, extra: Path | None = None) -> Pronounce:
    """What gives a word's pronunciations: as ``extra`` and the bundle's lexicon have them, else as its g2p model says.

    Raises BundleError for a line of either that is no pronunciation in the bundle's tokens.
    """
    tokens = tuple((folder / "tokens.txt").read_text(encoding="utf-8").split())
    known: dict[str, list[Phones]] = {}
    lexicon, separator = info.decoder.lexicon, info.decoder.separator
    for path in [*([extra] if extra else []), *([folder / lexicon] if lexicon else [])]:
        for entry in read_lexicon(path, tokens):
            known.setdefault(entry.word, []).append(tuple(tokens[at] for at in entry.tokens))
    unheard = None if info.decoder.g2p is None else GraphemeToPhone.load(folder / info.decoder.g2p)

    @lru_cache(_REMEMBERED)
    def pronounce(word: str) -> list[Phones]:
        if word in known:
            return known[word]
        if separator is not None:
            return spellings(word, tokens, separator)
        return [] if unheard is None else unheard.pronounce(word)

    return pronounce
