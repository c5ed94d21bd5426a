"""Readings of a clip's segments become one `Transcript`: words with their times in the clip and their confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from asr.bundle import BundleInfo
from asr.confidence import Calibration
from asr.decode import Hypothesis, HypothesisWord
from asr.frontend import Segment
from asr.transcript import ClipStats, NullReason, Reading, Span, Transcript, Word

# Of each segment, best first; none where nothing was said.
Readings = Sequence[tuple[Segment, list[Hypothesis]]]


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
        heard = [
            (hypotheses, self.words(hypotheses, segment)) for segment, hypotheses in readings if hypotheses
        ]
        kept = [hypotheses for hypotheses, words in heard if self.is_sure(words)]
        transcript = self.joined([words for _, words in heard], clip, reason, _readings(kept))
        return replace(transcript, entropy=_entropy(readings), perplexity=_perplexity(readings))

    def words(self, readings: Sequence[Hypothesis], segment: Segment) -> list[Word]:
        """The words of a segment's best reading, with their times in the clip and their confidence."""
        sure = self.calibration.words(readings)
        return [self._word(*pair, segment) for pair in zip(readings[0].words, sure, strict=True)]

    def is_sure(self, words: Sequence[Word]) -> bool:
        """Whether a segment's words are sure enough to be told."""
        return mean_confidence(words) >= self.calibration.minimum

    def joined(
        self,
        heard: Sequence[Sequence[Word]],
        clip: ClipStats,
        reason: NullReason | None,
        readings: tuple[Reading, ...] = (),
    ) -> Transcript:
        """One transcript of the words of each segment in which something was said. See `__call__`."""
        kept = [words for words in heard if self.is_sure(words)]
        words = tuple(word for segment in kept for word in segment)
        confidence = self.calibration.text([word.confidence for segment in kept or heard for word in segment])
        if reason is None and not words:
            # Where the model found no words at all, the detector had taken some other sound for speech.
            reason = NullReason.LOW_CONFIDENCE if heard else NullReason.NO_SPEECH
        identity, language = self._info.identity, self._info.language
        if reason is not None:
            return Transcript("", (), confidence, reason, clip, identity, language)
        text = " ".join(word.text for word in words)
        return Transcript(text, words, confidence, None, clip, identity, language, readings)

    def _word(self, word: HypothesisWord, confidence: float, segment: Segment) -> Word:
        frame, span = self._info.frame_samples, segment.span
        start = min(max(segment.first + word.start_frame * frame, span.start), span.end)
        end = min(max(segment.first + word.end_frame * frame, span.start), span.end)
        return Word(word.text, Span(start, end), confidence)


def _entropy(readings: Readings) -> float | None:
    """Of all that was heard: long segments weigh more."""
    known = [
        (len(segment.samples), hypotheses[0].entropy)
        for segment, hypotheses in readings
        if hypotheses and hypotheses[0].entropy is not None
    ]
    samples = sum(weight for weight, _ in known)
    return sum(weight * entropy for weight, entropy in known) / samples if samples else None


def _perplexity(readings: Readings) -> float | None:
    best = [hypotheses[0] for _, hypotheses in readings if hypotheses]
    known = [
        (len(hypothesis.words) + 1, hypothesis.lm_log_prob)
        for hypothesis in best
        if hypothesis.lm_log_prob is not None and math.isfinite(hypothesis.lm_log_prob)
    ]
    if not known:
        return None
    return math.exp(-sum(log_prob for _, log_prob in known) / sum(events for events, _ in known))


def mean_confidence(words: Sequence[Word]) -> float:
    """Of a segment: the mean of its words', which the bundle's minimum is held against; 0 without words."""
    return sum(word.confidence for word in words) / len(words) if words else 0.0


def _readings(segments: Sequence[Sequence[Hypothesis]]) -> tuple[Reading, ...]:
    """Readings of the whole clip: the best of every segment, then the likeliest of all ways to combine the others.

    As many as the segment with the most has. What the likeliest few begin with is among the likeliest few of what
    came before, so no more need be kept from segment to segment.
    """
    found = {"": 1.0}
    for hypotheses in segments:
        joined: dict[str, float] = {}
        for before, probability in found.items():
            for hypothesis in hypotheses:
                text = f"{before} {hypothesis.text}".lstrip()
                joined[text] = joined.get(text, 0.0) + probability * hypothesis.posterior
        best, *others = joined
        others.sort(key=lambda text: -joined[text])
        found = {text: joined[text] for text in (best, *others[: max(map(len, segments)) - 1])}
    return tuple(Reading(text, probability) for text, probability in found.items())
