"""Words to phones: cmudict, then the possessive rule, then flite. In: normalised text. Out: ARPAbet.

The phones are the 39 of cmudict without stress, the tokens of the acoustic model. Pronunciations come
with their variants for the decoder's lexicon; a training target takes the first one, except that letters
being spelled take the letter's name. Text is lower-case words (a-z and apostrophes); it writes no digits.
"""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.errors import MissingPackageError
from asr.g2p import possessive

Phones = tuple[str, ...]

_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
PHONES: Phones = tuple(sorted(f"{_VOWELS} {_CONSONANTS}".split()))
BLANK = "<blank>"
TOKENS: Phones = (BLANK, *PHONES)  # the order of tokens.txt and of the model's output columns

# Where flite names a phone otherwise than cmudict, which writes schwa as unstressed AH; pauses are none.
_FLITE_PHONES = {"ax": ("AH",), "axr": ("ER",), "dx": ("T",), "pau": (), "ssil": (), "h#": (), "brth": ()}

_WORD = re.compile(r"'?[a-z]+(?:'[a-z]+)*'?")
# Words in their own right besides being letters: only these need a look at their neighbours.
_LETTER_WORDS = frozenset({"a", "i"})


def read_cmudict(path: Path) -> dict[str, tuple[Phones, ...]]:
    """Pronunciations by lower-case word, in the dictionary's order, without stress or duplicates.

    Lines are ``WORD variant PHONE...``; entries with digits, dots or hyphens are left out, except that
    the letter entries (``A.``) add their name to the variants of the one-letter word.
    """
    found: dict[str, dict[Phones, None]] = {}
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            word, _variant, *stressed = line.lower().split()
            if len(word) == 2 and word[1] == ".":
                word = word[0]
            if _WORD.fullmatch(word):
                phones = tuple(phone.rstrip("012").upper() for phone in stressed)
                found.setdefault(word, {})[phones] = None
    return {word: tuple(variants) for word, variants in found.items()}


class Pronouncer:
    """Pronounces any word. Words that flite had to name are remembered in ``cache``, one line a word."""

    def __init__(self, words: dict[str, tuple[Phones, ...]], *, cache: Path | None = None) -> None:
        self._words = dict(words)
        self._cache = cache
        self._flite = shutil.which("flite")
        # cmudict lists a letter's name first, except for "a", where the article comes before it.
        self._letters = {word: words[word][0] for word in words if len(word) == 1} | {"a": ("EY",)}
        if cache is not None and cache.exists():
            for line in cache.read_text(encoding="utf-8").splitlines():
                word, *phones = line.split()
                self._words.setdefault(word, (tuple(phones),))

    @classmethod
    def from_cmudict(cls, path: Path, *, cache: Path | None = None) -> Pronouncer:
        """Read the dictionary at ``path`` (``.xz`` or plain)."""
        return cls(read_cmudict(path), cache=cache)

    def __contains__(self, word: str) -> bool:
        return word in self._words

    def variants(self, word: str) -> tuple[Phones, ...]:
        """All pronunciations of one lower-case word, the commonest first.

        Raises ``ValueError`` for anything but letters and apostrophes, and ``MissingPackageError`` where
        the word is unknown and flite is not installed.
        """
        if word in self._words:
            return self._words[word]
        if not _WORD.fullmatch(word):
            raise ValueError(
                f"cannot pronounce {word!r}: expected letters a-z and apostrophes; normalise first"
            )
        if word.strip("'") != word:  # 'tis, boys'
            return self.variants(word.strip("'"))
        if word.endswith("'s"):
            return tuple(possessive(base) for base in self.variants(word[:-2]))
        self._words[word] = (self._ask_flite(word),)
        return self._words[word]

    def phones(self, text: str) -> Phones:
        """The training target of ``text``: first variants end to end, letter names where it spells."""
        words = text.lower().split()
        spelled = set(_spelled(words))
        named = (
            self._letters[word] if at in spelled and word in self._letters else self.variants(word)[0]
            for at, word in enumerate(words)
        )
        return tuple(phone for pronunciation in named for phone in pronunciation)

    def _ask_flite(self, word: str) -> Phones:
        if self._flite is None:
            raise MissingPackageError(
                f"{word!r} is not in the dictionary and flite, which would pronounce it, is not installed; "
                "install it (Debian: apt-get install flite) or leave the word out"
            )
        command = [self._flite, "-t", word, "-ps", "-o", "none", "-voice", "slt"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        phones = arpabet(printed)
        unknown = set(phones) - set(PHONES)
        if unknown or not phones:
            raise ValueError(f"flite pronounced {word!r} as {printed.strip()!r}: unknown {sorted(unknown)}")
        if self._cache is not None:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with self._cache.open("a", encoding="utf-8") as lines:
                lines.write(f"{word} {' '.join(phones)}\n")
        return phones


def arpabet(segments: str) -> tuple[str, ...]:
    """Phones from flite's segments: upper case, no stress, no pauses; "dh ax pau" gives DH AH."""
    phones: list[str] = []
    for segment in segments.split():
        phones.extend(_FLITE_PHONES.get(segment, (segment.upper(),)))
    return tuple(phones)


def _spelled(words: Sequence[str]) -> Iterator[int]:
    """Positions of letters that are named: in a run of one-letter words that holds more than a and i, or
    that is the whole utterance."""
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and len(words[end]) == 1:
            end += 1
        run = words[start:end]
        if run and (not _LETTER_WORDS.issuperset(run) or len(run) == len(words)):
            yield from range(start, end)
        start = max(end, start + 1)
