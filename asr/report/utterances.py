"""One judged utterance as the report looks at it: what was said, what was heard, and which word for which.

`asr.evaluate.Judgement`s in; `Utterance`s out. Texts are normalised as for the error rates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asr.alignment import Edit, Kind, edits
from asr.evaluate import Judgement
from asr.transcript import Span, Transcript
from asr.wer import normalise


@dataclass(frozen=True, slots=True)
class Token:
    """A word that was heard; where and how surely is None where the model does not say."""

    text: str
    span: Span | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Utterance:
    """A judgement with its words and their alignment."""

    judgement: Judgement
    said: tuple[str, ...]
    heard: tuple[Token, ...]
    edits: tuple[Edit, ...]

    @property
    def transcript(self) -> Transcript | None:
        """What came out; None where the clip could not be read."""
        outcome = self.judgement.outcome
        return outcome if isinstance(outcome, Transcript) else None

    @property
    def audio(self) -> str:
        """The clip's name in the manifest."""
        return self.judgement.reference.audio

    @property
    def speaker(self) -> str | None:
        """Who spoke, where the manifest says."""
        speaker = self.judgement.reference.values.get("speaker")
        return None if speaker is None else str(speaker)

    @property
    def group(self) -> str:
        """What counts as one piece of evidence: the speaker where known, else the utterance."""
        return f"clip {self.audio}" if self.speaker is None else f"speaker {self.speaker}"

    @property
    def errors(self) -> int:
        """Words substituted, deleted and inserted."""
        return self.judgement.words.errors

    @property
    def rate(self) -> float:
        """Word error rate; infinite where words were heard and none said."""
        return self.judgement.words.rate

    @property
    def right(self) -> list[bool]:
        """Whether each word heard was said there."""
        return [edit.kind is Kind.CORRECT for edit in self.edits if edit.hypothesis is not None]

    @property
    def speaking_rate(self) -> float | None:
        """Words said in a second of speech; None without speech."""
        if self.transcript is None:
            return None
        speech_s = self.transcript.clip.duration_s * self.transcript.clip.speech_ratio
        return len(self.said) / speech_s if speech_s > 0 else None


def utterances(judgements: Iterable[Judgement]) -> list[Utterance]:
    """One for each judgement, in order."""
    return [_utterance(judgement) for judgement in judgements]


def _utterance(judgement: Judgement) -> Utterance:
    said = tuple(normalise(judgement.reference.text).split())
    heard = _tokens(judgement.outcome) if isinstance(judgement.outcome, Transcript) else ()
    return Utterance(judgement, said, heard, tuple(edits(said, [token.text for token in heard])))


def _tokens(transcript: Transcript) -> tuple[Token, ...]:
    """Normalising may split a word: both parts keep its time. A model without word times has its text."""
    tokens = tuple(
        Token(text, word.span, word.confidence)
        for word in transcript.words
        for text in normalise(word.text).split()
    )
    return tokens or tuple(Token(text, None, None) for text in normalise(transcript.text).split())
