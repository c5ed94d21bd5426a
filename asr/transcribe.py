"""The whole pipeline: a clip in, a `Transcript` out. Everything it composes stands in a file of its own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr import audio
from asr.bundle import DEFAULT_MODEL, Bundle, LogProbs
from asr.decode import BeamDecoder, DecoderOptions, Hypothesis, HypothesisWord, read_lexicon
from asr.errors import MissingPackageError
from asr.frontend import Frontend, FrontendOptions, Segment
from asr.lexicon_path import LexiconBestPath
from asr.transcript import SAMPLE_RATE_HZ, ClipStats, NullReason, Span, Transcript, Word


class Decoder(Protocol):
    """What turns log-probabilities into words."""

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Readings of float32 ``(frames, tokens)``, best first; empty where nothing was said."""


Clip = str | Path | bytes | NDArray[Any]


class Transcriber:
    """A bundle with its front end and decoder. Keeps nothing of a clip: threads may share one."""

    def __init__(self, bundle: Bundle, frontend: Frontend, decoder: Decoder) -> None:
        self.bundle = bundle
        self.frontend = frontend
        self._decoder = decoder
        self._decoding = Lock()  # the beam search keeps its beams in the decoder

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        precision: str | None = None,
        device: str = "cpu",
        threads: int = 1,
        frontend: FrontendOptions | None = None,
        decoder: DecoderOptions | None = None,
    ) -> Transcriber:
        """Load a bundle by path or name, with its own settings unless others are given.

        Raises what `Bundle.load` raises.
        """
        bundle = Bundle.load(model, precision=precision, device=device, threads=threads)
        return cls(bundle, Frontend(frontend or bundle.info.frontend), load_decoder(bundle, decoder))

    def transcribe(self, clip: Clip, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Transcript:
        """Transcribe a path, the bytes of an audio file, or an array at ``sample_rate_hz``.

        Arrays are float in [-1, 1] or integer, ``(n,)`` or ``(n, channels)``. Raises AudioError for what
        cannot be read and OSError for what cannot be opened.
        """
        samples = (
            audio.from_samples(clip, sample_rate_hz) if isinstance(clip, np.ndarray) else audio.decode(clip)
        )
        prepared = self.frontend.prepare(samples)
        readings = [(segment.span, self.recognise(segment)) for segment in prepared.segments]
        return self.assemble(readings, prepared.clip, prepared.null_reason)

    def recognise(self, segment: Segment) -> list[Hypothesis]:
        """Readings of one segment, best first; empty where nothing was said.

        One segment a call: int8 activations are scaled over the batch, so company would change a result.
        """
        log_probs = self.bundle.log_probs([segment.samples])[0]
        with self._decoding:
            return self._decoder.decode(log_probs)

    def assemble(
        self, readings: Sequence[tuple[Span, list[Hypothesis]]], clip: ClipStats, reason: NullReason | None
    ) -> Transcript:
        """One transcript from the readings of a clip's segments, with word times in the clip.

        A segment heard with too little confidence is left out, as it would be in a stream; the clip is null
        where nothing else was heard.
        """
        heard = [[self._word(word, span) for word in best[0].words] for span, best in readings if best]
        minimum = self.bundle.info.decoder.calibration.minimum
        words = tuple(word for segment in heard if mean_confidence(segment) >= minimum for word in segment)
        confidence = mean_confidence(words or [word for segment in heard for word in segment])
        if reason is None and not words:
            # Where the model found no words at all, the detector had taken some other sound for speech.
            reason = NullReason.LOW_CONFIDENCE if heard else NullReason.NO_SPEECH
        identity, language = self.bundle.info.identity, self.bundle.info.language
        if reason is not None:
            return Transcript("", (), confidence, reason, clip, identity, language)
        text = " ".join(word.text for word in words)
        return Transcript(text, words, confidence, None, clip, identity, language, _alternatives(readings))

    def _word(self, word: HypothesisWord, segment: Span) -> Word:
        frame = self.bundle.info.frame_samples
        start = min(segment.start + word.start_frame * frame, segment.end)
        end = min(segment.start + word.end_frame * frame, segment.end)
        return Word(word.text, Span(start, end), self.bundle.info.decoder.calibration(word.confidence))


def mean_confidence(words: Sequence[Word]) -> float:
    """Confidence of a segment or a clip: the mean of its words', 0 without words."""
    return sum(word.confidence for word in words) / len(words) if words else 0.0


def load_decoder(bundle: Bundle, options: DecoderOptions | None = None) -> Decoder:
    """The beam search with the bundle's lexicon and language model, with its own weights unless others are given.

    Where flashlight-text has no wheel (Python 3.13 at present), the best path through the lexicon alone, with
    a RuntimeWarning: it gives words, but without a language model more of them are wrong.
    """
    settings = bundle.info.decoder
    lexicon = read_lexicon(bundle.folder / settings.lexicon, bundle.tokens)
    lm = None if settings.lm is None else bundle.folder / settings.lm
    try:
        return BeamDecoder(lexicon, len(bundle.tokens), lm, options or settings.options)
    except MissingPackageError as error:
        warnings.warn(f"decoding without a language model: {error}", RuntimeWarning, stacklevel=2)
        return LexiconBestPath(lexicon, len(bundle.tokens), options or settings.options)


def _alternatives(readings: Sequence[tuple[Span, list[Hypothesis]]]) -> tuple[str, ...]:
    """Other readings of the clip: those of its only segment. Of several segments there would be a product."""
    spoken = [hypotheses for _, hypotheses in readings if hypotheses]
    return tuple(hypothesis.text for hypothesis in spoken[0][1:]) if len(spoken) == 1 else ()
