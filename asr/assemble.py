"""Readings of a clip's segments become one `Transcript`: words with their times in the clip and their confidence."""

from __future__ import annotations

from collections.abc import Sequence

from asr.bundle import BundleInfo
from asr.confidence import Calibration
from asr.decode import Hypothesis, HypothesisWord
from asr.frontend import Segment
from asr.transcript import ClipStats, NullReason, Span, Transcript, Word

Readings = Sequence[
    tuple[Segment, list[Hypothesis]]
]  # of each segment, best first; none where nothing was said


class Assembler:
    """What a bundle says of words and confidence, without its network: the front process of a server has only this."""

    def __init__(self, info: BundleInfo, calibration: Calibration | None = None) -> None:
        """``calibration`` where it is not the bundle's own."""
        self._info = info
        self.calibration = calibration or info.decoder.calibration

    def __call__(self, readings: Readings, clip: ClipStats, reason: NullReason | None) -> Transcript:
        """One transcript from the readings of a clip's segments, with word times in the clip.

        A segment heard with too little confidence is left out, as it would be in a stream; the clip is null
        where nothing else was heard.
        """
        heard = [self._words(best, segment) for segment, best in readings if best]
        minimum = self.calibration.minimum
        words = tuple(word for segment in heard if mean_confidence(segment) >= minimum for word in segment)
        confidence = self.calibration.text(
            [word.confidence for word in words or [word for segment in heard for word in segment]]
        )
        if reason is None and not words:
            # Where the model found no words at all, the detector had taken some other sound for speech.
            reason = NullReason.LOW_CONFIDENCE if heard else NullReason.NO_SPEECH
        identity, language = self._info.identity, self._info.language
        if reason is not None:
            return Transcript("", (), confidence, reason, clip, identity, language)
        text = " ".join(word.text for word in words)
        return Transcript(text, words, confidence, None, clip, identity, language, _alternatives(readings))

    def _words(self, readings: Sequence[Hypothesis], segment: Segment) -> list[Word]:
        sure = self.calibration.words(readings)
        return [self._word(*pair, segment) for pair in zip(readings[0].words, sure, strict=True)]

    def _word(self, word: HypothesisWord, confidence: float, segment: Segment) -> Word:
        frame, span = self._info.frame_samples, segment.span
        start = min(max(segment.first + word.start_frame * frame, span.start), span.end)
        end = min(max(segment.first + word.end_frame * frame, span.start), span.end)
        return Word(word.text, Span(start, end), confidence)


def mean_confidence(words: Sequence[Word]) -> float:
    """Of a segment: the mean of its words', which the bundle's minimum is held against; 0 without words."""
    return sum(word.confidence for word in words) / len(words) if words else 0.0


def _alternatives(readings: Readings) -> tuple[str, ...]:
    """Other readings of the clip: those of its only segment. Of several segments there would be a product."""
    spoken = [hypotheses for _, hypotheses in readings if hypotheses]
    return tuple(hypothesis.text for hypothesis in spoken[0][1:]) if len(spoken) == 1 else ()
