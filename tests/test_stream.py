"""Streaming: however the audio is cut, the events are the same, and the finals are those of the whole clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr import bundle as bundles
from asr.audio import Samples, decode
from asr.bundle import BundleInfo, DecoderSettings
from asr.confidence import Calibration
from asr.decode import DecoderOptions, Hypothesis, HypothesisWord
from asr.errors import AudioError, OptionError
from asr.frontend import Frontend, FrontendOptions
from asr.hotwords import Hotwords
from asr.reader import BundleReader
from asr.stream import EndpointOptions, Event, Final, Partial, SpeechStarted, SpeechStopped, Stream
from asr.transcribe import Transcriber
from asr.transcript import NullReason, Span, Word
from asr.vad import Scorer, VadOptions

RATE = 16_000
FRAME = 640  # samples a frame of the fake model
SAMPLES = Path(__file__).parent.parent / "data" / "samples"

INFO = BundleInfo(
    name="fake",
    version="1",
    language="en",
    frame_samples=FRAME,
    models={},
    frontend=FrontendOptions(),
    decoder=DecoderSettings("lexicon.txt", None, DecoderOptions(), Calibration()),
    licence="none",
    files={},
)


class EnergyVad:
    """Speech is whatever exceeds -50 dBFS: a detector whose answers a test can compute."""

    frame_length = 160

    def open(self) -> Scorer:
        return lambda frames: (np.sqrt(np.mean(frames**2, axis=1)) > 10 ** (-50 / 20)).astype(np.float64)


class FakeBundle:
    """Its "log-probabilities" are the energy of each 40 ms frame: one other sample in shows in what comes out."""

    info = INFO

    def log_probs(self, segments: Sequence[Samples]) -> list[Samples]:
        whole = [segment[: len(segment) // FRAME * FRAME].reshape(-1, FRAME) for segment in segments]
        return [np.square(frames).sum(axis=1, keepdims=True) for frames in whole]


class FakeDecoder:
    """A word for each frame with energy, named by how much."""

    def decode(self, log_probs: Samples) -> list[Hypothesis]:
        words = [
            HypothesisWord(f"e{energy:.4f}", frame, frame + 1, 0.75)
            for frame, energy in enumerate(log_probs[:, 0])
            if energy > 0.1
        ]
        return [Hypothesis(tuple(words), 0.0)] if words else []


def fake(**options: object) -> Transcriber:
    """The real pipeline around a detector, a model and a decoder that a test can compute."""
    frontend = Frontend(FrontendOptions(vad="none", **options))  # type: ignore[arg-type]
    frontend.vad = EnergyVad()
    return Transcriber(BundleReader(FakeBundle(), FakeDecoder()), frontend)  # type: ignore[arg-type]


def burst(seconds: float, rms: float = 0.02, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(int(seconds * RATE)) * rms).astype(np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), dtype=np.float32)


def stream(transcriber: Transcriber, samples: Samples, cuts: Sequence[int] = (), **rules: int) -> list[Event]:
    """All events of one stream, its audio cut into pieces of those lengths and a rest."""
    opened = Stream(transcriber, EndpointOptions(**rules))
    events: list[Event] = []
    for piece in np.split(samples, np.cumsum([cut for cut in cuts if cut])):
        events += opened.feed(piece)
    return events + opened.finish()


def finals(events: list[Event]) -> list[Final]:
    return [event for event in events if isinstance(event, Final)]


def words(events: list[Event]) -> tuple[Word, ...]:
    """Those of all finals, in order."""
    return tuple(word for final in finals(events) for word in final.transcript.words)


# Two utterances, one of them with a hesitation, a blip between them, and sound up to the very end.
DIALOGUE = np.concatenate(
    [
        silence(0.5), burst(0.9), silence(0.3), burst(0.4, seed=1), silence(0.9),
        burst(0.05), silence(0.8), burst(0.8, 0.1, seed=2), silence(0.803), burst(0.0501, seed=3),
    ]
)  # fmt: skip
WHOLE = stream(fake(), DIALOGUE)
PIECES = st.lists(st.integers(1, 8000), max_size=40)


@settings(max_examples=30)
@given(PIECES)
@example([1] * 40)
@example([159, 1, 160, 161] * 10)
def test_the_cut_changes_nothing(cuts: list[int]) -> None:
    """C4: all events, partials, words and clip statistics included, are those of the clip fed at once."""
    assert stream(fake(), DIALOGUE, cuts) == WHOLE


@settings(max_examples=30)
@given(PIECES, st.floats(2.0, 4.0), st.booleans())
def test_the_cut_changes_nothing_without_speech(cuts: list[int], seconds: float, blip: bool) -> None:
    """C4: the null at the end of a stream of faint noise is the same too, also when it ends in a blip."""
    samples = np.concatenate([burst(seconds, 1e-4), burst(0.05 if blip else 0.0)])
    events = stream(fake(), samples, cuts)
    assert events == stream(fake(), samples)
    assert [type(event) for event in events] == [Final]


def test_what_happens_in_which_order() -> None:
    """Started, partials every 400 ms up to the first in silence, stopped, final: twice; no blip is mentioned."""
    names = [type(event).__name__ for event in WHOLE]
    one = ["SpeechStarted", *["Partial"] * 4, "SpeechStopped", "Final"]
    two = ["SpeechStarted", *["Partial"] * 2, "SpeechStopped", "Final"]
    assert names == one + two


def test_speech_starts_and_stops_at_samples_of_the_stream() -> None:
    """200 ms before the sound and after it, as in a whole clip."""
    at = [event.at for event in WHOLE if isinstance(event, SpeechStarted | SpeechStopped)]
    assert at == [int(second * RATE) for second in (0.3, 2.3, 3.65, 4.85)]


def test_the_finals_are_the_whole_clip() -> None:
    """C4: the words of all finals, with their times and confidences, are `Transcriber.transcribe`'s."""
    whole = fake().transcribe(DIALOGUE)
    assert words(WHOLE) == whole.words
    assert " ".join(final.transcript.text for final in finals(WHOLE)) == whole.text
    assert len(whole.words) > 40


def test_statistics_of_an_utterance_are_its_own() -> None:
    """The second, louder utterance is reported 14 dB above the first."""
    first, second = (final.transcript.clip.level_dbfs for final in finals(WHOLE))
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(14.0, abs=1.5)


def test_a_stream_of_silence_ends_in_one_null() -> None:
    """Ten seconds of zeros: nothing while they come, one typed null at the end."""
    opened = Stream(fake())
    assert [opened.feed(silence(1)) for _ in range(10)] == [[]] * 10
    (final,) = finals(opened.finish())
    assert final.transcript.null_reason is NullReason.NO_SPEECH


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (silence(0), NullReason.TOO_SHORT),
        (burst(0.09), NullReason.TOO_SHORT),
        (burst(1.5, 10 ** (-70 / 20)), NullReason.TOO_QUIET),
        (silence(1.5), NullReason.NO_SPEECH),
    ],
)
def test_a_null_is_that_of_the_whole_clip(samples: Samples, reason: NullReason) -> None:
    """Up to two seconds, which are kept, the null Final is the whole clip's transcript."""
    assert finals(stream(fake(), samples)) == [Final(fake().transcribe(samples))]
    assert fake().transcribe(samples).null_reason is reason


def test_a_shorter_endpoint_splits_a_hesitation() -> None:
    """With 200 ms of trailing silence the pause of 300 ms makes two utterances of one."""
    assert len(finals(stream(fake(), DIALOGUE, trailing_silence_ms=200))) == 3


def test_a_long_utterance_is_cut() -> None:
    """With max_utterance_s = 1, three seconds of sound make at least three finals that join without a gap."""
    events = stream(fake(), np.concatenate([burst(3), silence(1)]), max_utterance_s=1)
    starts = [event.at for event in events if isinstance(event, SpeechStarted)]
    stops = [event.at for event in events if isinstance(event, SpeechStopped)]
    assert len(finals(events)) == len(starts) >= 3
    assert stops[:-1] == starts[1:]


def test_a_long_utterance_is_cut_as_in_the_whole_clip() -> None:
    """The bundle's max_speech_duration_s cuts stream and whole clip alike."""
    transcriber = fake(vad_options=VadOptions(max_speech_duration_s=1.0))
    samples = np.concatenate([burst(3.3), silence(1)])
    assert words(stream(transcriber, samples, [777] * 20)) == transcriber.transcribe(samples).words


def test_reset_starts_over() -> None:
    """After a reset in the middle of speech the next stream begins at sample 0 and remembers nothing."""
    opened = Stream(fake())
    opened.feed(DIALOGUE[: 2 * RATE + 77])
    opened.reset()
    assert opened.feed(DIALOGUE) + opened.finish() == WHOLE


def test_int16_is_what_float_is() -> None:
    """PCM16 samples give the events of the same values as floats."""
    pcm = np.round(DIALOGUE * 32768).astype(np.int16)
    assert stream(fake(), pcm) == stream(fake(), pcm.astype(np.float32) / 32768)  # type: ignore[arg-type]


def test_another_rate_is_refused() -> None:
    """Resampling pieces on their own would leave seams: only 16 kHz is streamed."""
    with pytest.raises(OptionError, match="sample_rate_hz is 8000; a stream takes 16000"):
        Stream(fake()).feed(silence(1), 8000)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_forgotten(value: float) -> None:
    """A NaN or an infinity raises AudioError; the stream goes on as if that piece had not been sent."""
    opened = Stream(fake())
    events = opened.feed(DIALOGUE[:30_001])
    with pytest.raises(AudioError, match="expected finite values"):
        opened.feed(np.array([0.0, value], dtype=np.float32))
    assert events + opened.feed(DIALOGUE[30_001:]) + opened.finish() == WHOLE


def test_too_many_partials_are_refused() -> None:
    """Under 100 ms between partials there is nothing new to say."""
    with pytest.raises(OptionError, match="partial_interval_ms is 50"):
        EndpointOptions(partial_interval_ms=50)


@pytest.fixture(scope="module")
def shipped() -> Transcriber:
    """The shipped bundle, without its minimum confidence: a null utterance has no words to compare."""
    if "en-small" not in bundles.available():
        pytest.skip("needs the bundle en-small")
    transcriber = Transcriber.load("en-small")
    info = transcriber.bundle.info
    calibration = replace(info.decoder.calibration, minimum=0.0)
    transcriber.bundle.info = replace(info, decoder=replace(info.decoder, calibration=calibration))
    return transcriber


def test_the_shipped_bundle_hears_the_same_in_pieces(shipped: Transcriber) -> None:
    """C4 with the real detector, model and decoder: two queries with a second between them, cut at random."""
    queries = [decode(SAMPLES / name) for name in ("play_jazz.wav", "red_jacket.wav")]
    samples = np.concatenate([queries[0], silence(1), queries[1], silence(1)])
    cuts = np.random.default_rng(0).integers(1, 8000, 12).tolist()
    whole = shipped.transcribe(samples)
    once, pieces = stream(shipped, samples), stream(shipped, samples, cuts)
    assert pieces == once
    assert len(finals(once)) == 2
    assert words(once) == whole.words
    assert any(isinstance(event, Partial) and event.text for event in once)
    assert all(Span(0, len(samples)).start <= word.span.start <= word.span.end for word in whole.words)


def test_hotwords_bias_partials_and_finals() -> None:
    """Every reading of the stream comes from the decoder of its list."""

    class Biased:
        def decode(self, log_probs: Samples) -> list[Hypothesis]:
            return [Hypothesis((HypothesisWord("bob", 0, len(log_probs), 0.75),), 0.0)]

    plain = fake()
    transcriber = Transcriber(BundleReader(plain.bundle, FakeDecoder(), lambda _: Biased()), plain.frontend)
    opened = Stream(transcriber, hotwords=Hotwords(("bob",)))
    events = opened.feed(DIALOGUE) + opened.finish()
    texts = {event.text for event in events if isinstance(event, Partial)}
    texts |= {final.transcript.text for final in finals(events)}
    assert texts == {"bob"}


def test_the_end_of_speech_is_told_before_its_text_is_looked_for() -> None:
    """`hear` gives SpeechStopped while nothing has been recognised yet: a client learns of the endpoint at once."""
    recognised: list[int] = []

    class Watched(FakeDecoder):
        def decode(self, log_probs: Samples) -> list[Hypothesis]:
            recognised.append(len(log_probs))
            return super().decode(log_probs)

    watched = Transcriber(BundleReader(FakeBundle(), Watched()), fake().frontend)  # type: ignore[arg-type]
    events = Stream(watched, EndpointOptions(partial_interval_ms=60_000)).hear(DIALOGUE[: 3 * RATE])
    assert [type(next(events)) for _ in range(2)] == [SpeechStarted, SpeechStopped]
    assert recognised == []
    assert isinstance(next(events), Final)
    assert len(recognised) == 1
