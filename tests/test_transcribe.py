"""Putting one transcript together: times in the clip, calibrated confidence, and a reason for every null."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from asr.audio import Samples
from asr.bundle import BundleInfo, DecoderSettings
from asr.confidence import Calibration
from asr.decode import DecoderOptions, Hypothesis, HypothesisWord
from asr.errors import MissingPackageError, OptionError, UnsupportedAudioError
from asr.frontend import Frontend, FrontendOptions, Segment
from asr.hotwords import Hotwords
from asr.reader import CACHED_LISTS, BundleReader, load_decoder
from asr.transcribe import Transcriber
from asr.transcript import ClipStats, NullReason, Reading, Span

RATE = 16_000
FRAME = 640  # samples a frame of the fake model
CLIP = ClipStats(3.0, -26.0, 0.0, 40.0, 0.0, 0.6, 0.5, 0.5)
CALIBRATION = Calibration(slope=2.0)  # 0.5 -> 1/2, 0.8 -> 16/17


class FakeBundle:
    """Knows its settings, and gives as many frames as the samples have."""

    def __init__(self, calibration: Calibration) -> None:
        settings = DecoderSettings("lexicon.txt", None, DecoderOptions(), calibration)
        self.info = BundleInfo("fake", "1", "en", FRAME, {}, FrontendOptions(), settings, "none", {})
        self.batches: list[int] = []

    def log_probs(self, segments: Sequence[Samples]) -> list[Samples]:
        self.batches.append(len(segments))
        return [np.zeros((len(segment) // FRAME, 1), dtype=np.float32) for segment in segments]


class FakeDecoder:
    """Hears one word that lasts the whole segment, and another reading of it."""

    def decode(self, log_probs: Samples) -> list[Hypothesis]:
        return [
            Hypothesis((HypothesisWord(f"{text}{len(log_probs)}", 0, len(log_probs), 0.8),), 0.0, share)
            for text, share in (("word", 0.75), ("ward", 0.25))
        ]


def fake(calibration: Calibration = CALIBRATION) -> Transcriber:
    """A transcriber that takes every clip for one utterance."""
    frontend = Frontend(FrontendOptions(vad="none"))
    return Transcriber(BundleReader(FakeBundle(calibration), FakeDecoder()), frontend)  # type: ignore[arg-type]


def heard(*words: tuple[str, int, int], confidence: float = 0.8, posterior: float = 1.0) -> Hypothesis:
    """A hypothesis of words with their frames."""
    return Hypothesis(tuple(HypothesisWord(*word, confidence) for word in words), -1.0, posterior)


def stretch(start: int, end: int) -> Segment:
    """A segment of the clip; what it sounds like does not matter."""
    return Segment(np.zeros(end - start, dtype=np.float32), Span(start, end), -26.0, start)


def sound(seconds: float) -> Samples:
    return (np.random.default_rng(0).standard_normal(int(seconds * RATE)) * 0.05).astype(np.float32)


def test_word_times_are_in_the_clip() -> None:
    """Frames of 40 ms count from where the segment begins."""
    readings = [(stretch(8000, 32_000), [heard(("call", 2, 10), ("mum", 12, 20))])]
    words = fake().assemble(readings, CLIP, None).words
    assert [(word.text, word.span) for word in words] == [
        ("call", Span(8000 + 2 * FRAME, 8000 + 10 * FRAME)),
        ("mum", Span(8000 + 12 * FRAME, 8000 + 20 * FRAME)),
    ]
    assert [word.confidence for word in words] == pytest.approx([16 / 17, 16 / 17])


def test_word_times_end_with_the_segment() -> None:
    """The last frame is completed with zeros: a word in it ends where the samples do."""
    readings = [(stretch(100, 1000), [heard(("go", 0, 2), ("on", 2, 3))])]
    words = fake().assemble(readings, CLIP, None).words
    assert [word.span for word in words] == [Span(100, 1000), Span(1000, 1000)]


def test_segments_are_joined() -> None:
    """The words of all segments, in order, make the text; a segment without words adds nothing."""
    readings = [
        (stretch(0, 16_000), [heard(("call", 0, 9))]),
        (stretch(20_000, 25_000), []),
        (stretch(32_000, 48_000), [heard(("mum", 0, 9), confidence=0.5)]),
    ]
    transcript = fake().assemble(readings, CLIP, None)
    assert transcript.text == "call mum"
    assert [word.span.start for word in transcript.words] == [0, 32_000]
    assert transcript.confidence == pytest.approx((16 / 17 + 1 / 2) / 2)
    assert (transcript.model, transcript.language, transcript.clip) == ("fake@1", "en", CLIP)


def test_a_clip_is_as_undecided_and_unlikely_as_its_segments() -> None:
    """Entropy by their length; perplexity by their words and ends; a segment of which neither is known counts not."""
    call = replace(heard(("call", 0, 9)), entropy=0.4, lm_log_prob=-6.0)
    mum = replace(heard(("mum", 0, 2), ("now", 2, 4)), entropy=0.1, lm_log_prob=-4.0)
    readings = [
        (stretch(0, 200), [call]),
        (stretch(300, 400), [mum]),
        (stretch(500, 600), [heard(("x", 0, 1))]),
    ]
    transcript = fake().assemble(readings, CLIP, None)
    assert transcript.entropy == pytest.approx((2 * 0.4 + 0.1) / 3)
    assert transcript.perplexity == pytest.approx(math.exp((6 + 4) / (2 + 3)))
    silent = fake().assemble([(stretch(0, 9), [])], CLIP, None)
    assert (silent.entropy, silent.perplexity) == (None, None)


def test_words_that_the_language_model_lacks_make_no_perplexity() -> None:
    """An impossible sentence has no finite one."""
    call = replace(heard(("call", 0, 9)), lm_log_prob=-math.inf)
    assert fake().assemble([(stretch(0, 9), [call])], CLIP, None).perplexity is None


def test_readings_are_the_text_then_the_likeliest_others() -> None:
    """What the search ranked first stays first, though another has more of the probability; silence adds nothing."""
    number = [
        heard((text, 0, 9), posterior=share) for text, share in (("two", 0.3), ("to", 0.1), ("too", 0.5))
    ]
    transcript = fake().assemble([(stretch(0, 9), number), (stretch(20, 30), [])], CLIP, None)
    assert transcript.readings == (Reading("two", 0.3), Reading("too", 0.5), Reading("to", 0.1))


def test_readings_of_several_segments_are_combined() -> None:
    """The best of each makes the text; of the other combinations the likeliest are kept, as many as one segment has."""
    call = [
        heard((text, 0, 9), posterior=share) for text, share in (("call", 0.5), ("tall", 0.25), ("all", 0.25))
    ]
    mum = [heard((text, 0, 9), posterior=share) for text, share in (("mum", 0.75), ("mom", 0.25))]
    transcript = fake().assemble([(stretch(0, 9), call), (stretch(20, 30), mum)], CLIP, None)
    assert transcript.readings == (
        Reading("call mum", 0.375),
        Reading("tall mum", 0.1875),
        Reading("all mum", 0.1875),
    )


def test_readings_leave_out_what_was_heard_too_badly() -> None:
    """They are readings of the words in the text, and of no others."""
    bad = [heard(("mum", 0, 9), confidence=0.1), heard(("mom", 0, 9), confidence=0.1)]
    segments = [(stretch(0, 9), [heard(("call", 0, 9))]), (stretch(20, 30), bad)]
    transcript = fake(replace(CALIBRATION, minimum=0.5)).assemble(segments, CLIP, None)
    assert transcript.readings == (Reading("call", 1.0),)


@pytest.mark.parametrize("readings", [[], [(stretch(0, 16_000), [])]])
def test_no_words_is_no_speech(readings: list[tuple[Segment, list[Hypothesis]]]) -> None:
    """Where the model finds no words there was no speech, whatever the detector heard."""
    transcript = fake().assemble(readings, CLIP, None)
    assert (transcript.text, transcript.words, transcript.confidence) == ("", (), 0.0)
    assert transcript.null_reason is NullReason.NO_SPEECH


@pytest.mark.parametrize("minimum", [0.5, 0.51])
def test_below_the_minimum_is_low_confidence(minimum: float) -> None:
    """A mean confidence of exactly the minimum is enough; under it the words are withheld, not the number."""
    readings = [(stretch(0, 16_000), [heard(("call", 0, 9), confidence=0.5)])]
    transcript = fake(replace(CALIBRATION, minimum=minimum)).assemble(readings, CLIP, None)
    assert transcript.confidence == 0.5
    if minimum == 0.5:
        assert (transcript.text, transcript.null_reason) == ("call", None)
    else:
        assert (transcript.text, transcript.words, transcript.readings) == ("", (), ())
        assert transcript.null_reason is NullReason.LOW_CONFIDENCE


@pytest.mark.parametrize("reason", list(NullReason))
def test_a_reason_found_earlier_stands(reason: NullReason) -> None:
    """What the front end refused stays refused."""
    assert fake().assemble([], CLIP, reason).null_reason is reason


def test_a_clip_goes_through_all_stages() -> None:
    """Two seconds of sound and the silence put around them are one segment of 65 frames, and one word."""
    transcript = fake().transcribe(sound(2))
    assert transcript.text == "word65"
    assert transcript.words[0].span == Span(0, 2 * RATE)
    assert transcript.readings == (Reading("word65", 0.75), Reading("ward65", 0.25))
    assert transcript.clip.duration_s == 2.0


def test_an_array_is_resampled() -> None:
    """Stereo int16 at 8 kHz is as long as mono float at 16 kHz."""
    stereo = np.round(np.stack([sound(1), sound(1)], axis=1) * 32767).astype(np.int16)
    assert fake().transcribe(stereo, 8000).words[0].span == Span(0, 2 * RATE)


def test_bytes_and_paths_are_read(tmp_path: Path) -> None:
    """A path, its string and the file's bytes give the same transcript."""
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(1), RATE)
    assert fake().transcribe(path) == fake().transcribe(str(path)) == fake().transcribe(path.read_bytes())


def test_each_segment_is_recognised_alone() -> None:
    """The model never sees two segments at once: its int8 activations are scaled over the batch."""
    transcriber = fake()
    transcriber.frontend.options = FrontendOptions(vad="webrtc")
    segments = [transcriber.frontend.segment(sound(1), start, Span(0, 40_000)) for start in (0, 20_000)]
    assert [len(transcriber.recognise(segment)) for segment in segments] == [2, 2]
    assert transcriber.bundle.batches == [1, 1]  # type: ignore[attr-defined]


def test_nothing_is_asked_of_the_model_without_speech() -> None:
    """A clip that is too short costs no inference."""
    transcriber = fake()
    assert transcriber.transcribe(sound(0.05)).null_reason is NullReason.TOO_SHORT
    assert transcriber.bundle.batches == []  # type: ignore[attr-defined]


def test_what_is_not_audio_is_refused() -> None:
    """A typed error, no transcript."""
    with pytest.raises(UnsupportedAudioError):
        fake().transcribe(b"these bytes are text")


def test_without_flashlight_the_lexicon_alone_decodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It warns, finds the word, and keeps to the options given: a beam of 1 loses what a wider one finds."""
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    (tmp_path / "lexicon.txt").write_text("ab A B\nc C\n")
    info = FakeBundle(CALIBRATION).info
    bundle = SimpleNamespace(folder=tmp_path, info=info, tokens=("<blank>", "A", "B", "C"))
    posteriors = np.array([[0.01, 0.44, 0.01, 0.54], [0.01, 0.01, 0.97, 0.01]], dtype=np.float32)
    found = {}
    for beam_size in (1, 50):
        with pytest.warns(RuntimeWarning, match="decoding without a language model"):
            decoder = load_decoder(bundle, DecoderOptions(beam_size=beam_size))  # type: ignore[arg-type]
        found[beam_size] = [reading.text for reading in decoder.decode(np.log(posteriors))]
    assert found[50] == ["ab"]
    assert found[1] != found[50]


class NamedDecoder:
    """Hears the name it was given."""

    def __init__(self, name: str) -> None:
        self.name = name

    def decode(self, log_probs: Samples) -> list[Hypothesis]:
        return [Hypothesis((HypothesisWord(self.name, 0, len(log_probs), 0.8),), 0.0)]


def test_hotwords_choose_the_decoder_of_one_call() -> None:
    """Each list has a decoder of its own, made once; a call without a list is not biased."""
    made: list[Hotwords] = []

    def biased(hotwords: Hotwords) -> NamedDecoder:
        made.append(hotwords)
        return NamedDecoder(hotwords.phrases[0])

    frontend = Frontend(FrontendOptions(vad="none"))
    transcriber = Transcriber(BundleReader(FakeBundle(CALIBRATION), NamedDecoder("plain"), biased), frontend)  # type: ignore[arg-type]
    lists = [None, Hotwords(("bob",)), Hotwords(("Bob",)), Hotwords(("mum",)), None, Hotwords(("bob",))]
    texts = [transcriber.transcribe(sound(1), hotwords=hotwords).text for hotwords in lists]
    assert texts == ["plain", "bob", "bob", "mum", "plain", "bob"]
    assert [hotwords.phrases for hotwords in made] == [("bob",), ("mum",)]


def test_few_lists_are_kept() -> None:
    """The least recently used decoder makes room for a new list's."""
    made: list[str] = []

    def biased(hotwords: Hotwords) -> NamedDecoder:
        made.append(hotwords.phrases[0])
        return NamedDecoder(hotwords.phrases[0])

    frontend = Frontend(FrontendOptions(vad="none"))
    transcriber = Transcriber(BundleReader(FakeBundle(CALIBRATION), NamedDecoder("plain"), biased), frontend)  # type: ignore[arg-type]
    names = "abcdefgh"[: CACHED_LISTS + 1]
    for name in (*names, names[-1], names[0]):
        transcriber.transcribe(sound(1), hotwords=Hotwords((name,)))
    assert made == [*names, names[0]]


def test_a_decoder_without_hotwords_refuses_them() -> None:
    """They are not silently ignored."""
    with pytest.raises(OptionError, match="bob"):
        fake().transcribe(sound(1), hotwords=Hotwords(("bob",)))


def _bundle(folder: Path) -> SimpleNamespace:
    (folder / "lexicon.txt").write_text("ab A B\nc C\n")
    return SimpleNamespace(
        folder=folder, info=FakeBundle(CALIBRATION).info, tokens=("<blank>", "A", "B", "C")
    )


def test_new_words_are_pronounced(tmp_path: Path) -> None:
    """A hotword outside the lexicon is heard as its pronunciations say; without any the error names it."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    bundle, hotwords = _bundle(tmp_path), Hotwords(("ab bac",))
    posteriors = np.full((3, 4), 0.02, dtype=np.float32)
    posteriors[[0, 1, 2], [2, 1, 3]] = 0.94
    decoder = load_decoder(bundle, None, hotwords, lambda word: [tuple(word.upper())])  # type: ignore[arg-type]
    assert decoder.decode(np.log(posteriors))[0].text == "bac"
    for pronounce in (None, lambda _: []):
        with pytest.raises(OptionError, match="'bac'"):
            load_decoder(bundle, None, hotwords, pronounce)  # type: ignore[arg-type]


def test_hotwords_need_the_beam_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fallback cannot favour a word, and says so instead of leaving it out."""
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    with pytest.raises(MissingPackageError, match="flashlight-text"):
        load_decoder(_bundle(tmp_path), None, Hotwords(("ab",)))  # type: ignore[arg-type]
