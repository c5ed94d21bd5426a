"""Words and phrases that a caller expects: the search leans towards them and never excludes any other.

In: phrases as a person writes them. Out: normalised words, and how much each reading earns for the phrases in
it. How the search hears them early enough is `asr.decode`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.errors import OptionError
from asr.wer import normalise

MAX_PHRASES = 500
MAX_PHRASE_WORDS = 10
MIN_LOG_PRIOR = -30.0
LEVELS = 4  # of bonuses in the search: each is a column for every token that ends a hotword


@dataclass(frozen=True, slots=True)
class Hotwords:
    """Phrases, each of whose words is taken to be as likely as ``log_prior`` at least, on its own (natural log).

    A word that the language model knows to be likelier gains nothing, a rare one much: so one number serves all.
    -5 is one word in 150. Phrases are normalised as error rates normalise text; repeated ones are dropped.
    Raises OptionError.
    """

    phrases: tuple[str, ...]
    log_prior: float = -5.0

    def __post_init__(self) -> None:
        if len(self.phrases) > MAX_PHRASES:
            raise OptionError(f"{len(self.phrases)} hotword phrases; at most {MAX_PHRASES} are taken")
        if not MIN_LOG_PRIOR <= self.log_prior <= 0:  # NaN too
            raise OptionError(f"log_prior is {self.log_prior}; expected {MIN_LOG_PRIOR:g} to 0 (natural log)")
        normalised = [normalise(phrase) for phrase in self.phrases]
        for given, phrase in zip(self.phrases, normalised, strict=True):
            if not phrase:
                raise OptionError(f"hotword phrase {given!r} has no word of the letters a to z")
            if len(phrase.split()) > MAX_PHRASE_WORDS:
                raise OptionError(
                    f"hotword phrase {given!r} has {len(phrase.split())} words; at most {MAX_PHRASE_WORDS} are taken"
                )
        object.__setattr__(self, "phrases", tuple(dict.fromkeys(normalised)))

    @classmethod
    def parse(cls, text: str) -> Hotwords:
        """From phrases separated by commas or line ends; ``@FILE`` reads them from a UTF-8 text file.

        Raises OptionError where there are none or the file cannot be read.
        """
        if text.startswith("@"):
            try:
                text = Path(text[1:]).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise OptionError(f"hotwords file {text[1:]}: {error}") from error
        phrases = [phrase.strip() for phrase in text.replace("\n", ",").split(",") if phrase.strip()]
        if not phrases:
            raise OptionError(f"hotwords are {text!r}; expected phrases separated by commas, or @FILE")
        return cls(tuple(phrases))

    @property
    def words(self) -> tuple[str, ...]:
        """Every word of the phrases, once, in order."""
        return tuple(dict.fromkeys(word for phrase in self.phrases for word in phrase.split()))


@dataclass(frozen=True, slots=True)
class BoostedPath:
    """A hotword's tokens, the last of them new, the word's number, and its bonus (natural log units)."""

    tokens: tuple[int, ...]
    label: int
    bonus: float


class BoostedPaths:
    """What a search through a trie of pronunciations needs in order to favour words; words are numbers here.

    Each pronunciation of such a word gets a second path, whose last token is replaced by a new one: in the rows
    of log-probabilities its column holds that of ``tokens`` plus ``bonuses``. So a path earns the bonus where
    the word ends, the look-ahead can promise it before, and the search itself needs to know nothing. Bonuses
    there are rounded to a few levels; in the end every reading of the beam gets what is due to it instead.
    """

    def __init__(
        self,
        phrases: Iterable[tuple[int, ...]],
        bonus: Mapping[int, float],
        pronunciations: Iterable[tuple[tuple[int, ...], int]],
        first_column: int,
    ) -> None:
        """``bonus`` (natural log) has every word of the ``phrases``; new tokens count from ``first_column``."""
        self._bonus = bonus
        self._first_column = first_column
        step = max(bonus.values(), default=0.0) / LEVELS
        column: dict[tuple[int, float], int] = {}
        paths = []
        for tokens, label in pronunciations:
            rounded = step * round(bonus[label] / step) if step and label in bonus else 0.0
            if rounded:
                at = column.setdefault((tokens[-1], rounded), first_column + len(column))
                paths.append(BoostedPath((*tokens[:-1], at), label, rounded))
        self.paths = tuple(paths)
        self.tokens = np.array([token for token, _ in column], dtype=np.intp)
        self.bonuses = np.array([rounded for _, rounded in column], dtype=np.float32)
        self._starting: dict[int, list[tuple[int, ...]]] = {}
        for phrase in sorted(phrases, key=len, reverse=True):
            self._starting.setdefault(phrase[0], []).append(phrase)

    @property
    def largest(self) -> float:
        """The largest bonus, 0 without hotwords."""
        return float(self.bonuses.max(initial=0.0))

    def plain(self, path: Sequence[int]) -> list[int]:
        """A path of tokens with the ordinary ones in place of the new."""
        first = self._first_column
        return [token if token < first else int(self.tokens[token - first]) for token in path]

    def correction(self, labels: Sequence[int], path: Sequence[int]) -> float:
        """What a reading earns for its complete phrases, less what its path of tokens was given for any word."""
        given = sum(self.bonuses[token - self._first_column] for token in path if token >= self._first_column)
        return sum(self._bonus[label] for label in self._in_phrases(labels)) - float(given)

    def _in_phrases(self, labels: Sequence[int]) -> Iterator[int]:
        """The words that belong to a complete phrase, each once; of phrases with one start the longest counts."""
        at = 0
        while at < len(labels):
            for phrase in self._starting.get(labels[at], ()):
                if tuple(labels[at : at + len(phrase)]) == phrase:
                    yield from phrase
                    at += len(phrase)
                    break
            else:
                at += 1
