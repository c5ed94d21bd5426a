"""``asr.report``: what is told of a few utterances made by hand, and the page that tells it."""

from __future__ import annotations

import io
import json
import re
import sys
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr.alignment import Kind
from asr.errors import CorruptAudioError, MissingPackageError, OptionError
from asr.evaluate import Judgement, judge
from asr.labels import Finding
from asr.labels import Kind as FindingKind
from asr.manifest import Reference
from asr.report import page
from asr.report.analysis import Wanted, analyse
from asr.report.confusions import confusions
from asr.report.media import marks
from asr.report.pictures import cut, wav
from asr.report.slices import slices
from asr.report.utterances import utterances
from asr.transcript import ClipStats, NullReason, Span, Transcript, Word

SECOND = 16_000
HOSTILE = "<script>alert('set')</script>"


def clip(seconds: float, level: float = -24.0) -> ClipStats:
    """Statistics of a clip that is half speech."""
    return ClipStats(seconds, level, 0.0, 25.0, 0.0, 0.5, 0.1, 0.1)


def judged(audio: Path, said: str, heard: str, sure: float = 0.8, **values: object) -> Judgement:
    """A judgement; the heard words last a quarter of a second each, from half a second on."""
    words = tuple(
        Word(text, Span(8_000 + at * 4_000, 12_000 + at * 4_000), sure)
        for at, text in enumerate(heard.split())
    )
    reason = None if heard else NullReason.NO_SPEECH
    outcome = Transcript(heard, words, sure if heard else 0.0, reason, clip(2.0), "tiny@1", "en")
    reference = Reference(audio.name, audio, said, dict(values))
    return next(iter(judge(lambda _: outcome, [reference])))


@pytest.fixture
def judgements(tmp_path: Path) -> list[Judgement]:
    """Six utterances of three speakers with sounds of two seconds; in two "play" is heard as "pay"."""
    rows = [
        ("one.wav", "play some jazz", "pay some jazz", "ann"),
        ("two.wav", "play it again", "pay it again", "ann"),
        ("three.wav", "play jazz", "play jazz", "bob"),
        ("four.wav", "turn it off", "turn off", "bob"),
        ("five.wav", "call mum", "call mum now", "cy"),
        ("six.wav", "stop", "", "cy"),
    ]
    times = np.arange(2 * SECOND) / SECOND
    (tmp_path / "tone.wav").write_bytes(wav(np.sin(2 * np.pi * 440 * times).astype(np.float32) / 4))
    found = []
    for name, said, heard, speaker in rows:
        (tmp_path / name).write_bytes((tmp_path / "tone.wav").read_bytes())
        found.append(judged(tmp_path / name, said, heard, speaker=speaker, set=HOSTILE))
    return found


def test_confused_pairs_and_their_places(judgements: list[Judgement]) -> None:
    """The most frequent pair first, counted against how often it was said; examples know where in the clip."""
    mine = utterances(judgements)
    (pair,) = confusions(mine, Kind.SUBSTITUTION, 5)
    assert (pair.said, pair.heard, pair.count, pair.times_said) == ("play", "pay", 2, 3)
    assert [example.span for example in pair.examples] == [Span(8_000, 12_000)] * 2
    lost = confusions(mine, Kind.DELETION, 5)
    assert [(pair.said, pair.heard, pair.count) for pair in lost] == [("it", None, 1), ("stop", None, 1)]
    assert lost[0].examples[0].span == Span(12_000, 12_000)  # between "turn" and "off"
    (invented,) = confusions(mine, Kind.INSERTION, 5)
    assert (invented.said, invented.heard, invented.times_said) == (None, "now", 0)


def test_examples_come_from_different_speakers(judgements: list[Judgement], tmp_path: Path) -> None:
    """Of four cases by two speakers the two shown are one of each."""
    more = [judged(tmp_path / f"{at}.wav", "play it", "pay it", speaker="dee") for at in range(2)]
    (pair,) = confusions(utterances([*judgements, *more]), Kind.SUBSTITUTION, 1)
    assert {example.utterance.speaker for example in pair.examples} == {"ann", "dee"}


def test_slices_have_scores_and_intervals(judgements: list[Judgement]) -> None:
    """By key, by what was measured and by words unseen; a key with one value only tells nothing and is left out."""
    found = slices(utterances(judgements), ["speaker", "set"], {"play", "some", "jazz", "it", "turn", "off"})
    assert [(part.value, part.score.wer) for part in found["speaker"]] == [
        ("ann", 0.333333),
        ("bob", 0.2),
        ("cy", 0.666667),
    ]
    assert "set" not in found
    assert "duration" not in found
    unseen = found["words unseen in training"]
    assert [(part.value, part.score.n_utterances) for part in unseen] == [("none", 3), ("over 10 %", 3)]
    speaker = found["speaker"][0]
    assert speaker.interval is not None
    assert speaker.interval.units == 2  # of one speaker, utterances are drawn
    assert speaker.as_dict()["interval"]["units"] == 2


def test_ranges_hold_their_lower_edge(judgements: list[Judgement]) -> None:
    """A clip of two seconds is in "2 to 4 s"; the ranges stay in order."""
    outcome = judgements[0].outcome
    assert isinstance(outcome, Transcript)
    long = replace(judgements[0], outcome=replace(outcome, clip=clip(20.0, -40.0)))
    found = slices(utterances([long, *judgements[1:]]), [])
    assert [part.value for part in found["duration"]] == ["2 to 4 s", "16 s and more"]
    assert [part.value for part in found["level"]] == ["-45 to -35 dBFS", "-25 to -15 dBFS"]


def test_report_json_has_the_form_of_evaluate(judgements: list[Judgement]) -> None:
    """The public keys of ``evaluate --json``, with intervals, calibration, confusions and the comparison beside."""
    better = [replace(j, outcome=_heard(j.reference.text)) for j in judgements]
    better = list(_rejudged(better))
    report = analyse(judgements, Wanted("m.jsonl", ("speaker",)), better).as_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert (report["wer"], report["n_words"], report["n_utterances"]) == (0.357143, 14, 6)
    assert report["slices"]["speaker=bob"]["wer"] == 0.2
    assert report["confidence"]["words"]["n"] == 13
    assert report["compare"]["matched_pairs"]["segments"] == 5
    assert report["compare"]["matched_pairs"]["mean"] == -1.0
    assert report["compare"]["probability_of_improvement"] == 1.0
    assert report["compare"]["better"][0]["errors"] == [1, 0]
    assert report["compare"]["worse"] == []
    # the first word of three lies in the second tenth: of the three said there "play" was missed twice
    assert report["error_rate_by_position"][1] == pytest.approx(2 / 3)


def test_models_on_different_clips_are_not_compared(judgements: list[Judgement]) -> None:
    """Pairs must be pairs."""
    with pytest.raises(OptionError, match="different clips \\(6 and 5\\)"):
        analyse(judgements, Wanted("m"), judgements[:5])


def test_marks_lie_where_the_words_are(judgements: list[Judgement]) -> None:
    """In a window of a second from 0.5 s on, "pay" fills the first quarter and is wrong."""
    first, second, third = marks(utterances(judgements)[0], Span(8_000, 24_000))
    assert (first.text, first.left, first.width, first.wrong) == ("pay", 0.0, 25.0, True)
    assert (second.left, second.wrong, third.left) == (25.0, False, 50.0)
    assert list(marks(utterances(judgements)[0], Span(0, 4_000))) == []


def test_cuts_stay_inside_the_clip() -> None:
    """Context on both sides as far as there is any; a place without length still has some sound."""
    samples = np.arange(SECOND, dtype=np.float32)
    assert cut(samples, Span(100, 200), 50).span == Span(50, 250)
    assert cut(samples, Span(100, 200), 500).span == Span(0, 700)
    assert cut(samples, Span(SECOND - 10, SECOND), 100).span == Span(SECOND - 110, SECOND)
    assert len(cut(samples, Span(SECOND, SECOND), 100).samples) == 100


def test_wav_is_the_sound() -> None:
    """16 kHz, 16 bits, one channel; what is beyond full scale is cut there."""
    with wave.open(io.BytesIO(wav(np.array([0.0, 0.5, -2.0], dtype=np.float32)))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (16_000, 2, 1)
        assert np.frombuffer(file.readframes(3), "<i2").tolist() == [0, 16_383, -32_767]


@pytest.fixture
def written(judgements: list[Judgement], tmp_path: Path) -> Path:
    """The folder of a report on all of it, with a finding and a second model."""
    for module in ("jinja2", "librosa", "matplotlib"):
        pytest.importorskip(module, reason="needs voicesearch[report]")
    found = (Finding(FindingKind.LEVEL, "one.wav", "<b>loud</b>", "quieter"),)
    analysis = analyse(judgements, Wanted("<m>.jsonl", ("set", "speaker"), None, found), judgements[::1])
    return page.write(analysis, tmp_path / "report").parent


def test_the_page_asks_no_server(written: Path) -> None:
    """No address of any other host, no file that is not beside it, and nothing beside it that it does not show."""
    text = (written / "index.html").read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "//cdn" not in text
    shown = set(re.findall(r'(?:src|data-sound|href)="(?!#)([^"]+)"', text))
    assert shown == {f"media/{path.name}" for path in (written / "media").iterdir()}
    assert len(shown) == 14  # 2 examples and 5 clips with errors, a picture and a sound each
    assert "default-src 'none'" in text


def test_the_page_escapes_what_people_wrote(written: Path) -> None:
    """Names of sets, files and findings are data: no markup of theirs reaches the page."""
    text = (written / "index.html").read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "<b>loud</b>" not in text
    assert "&lt;b&gt;loud&lt;/b&gt;" in text
    assert "&lt;m&gt;.jsonl" in text
    assert text.count("<script>") == 1


def test_the_page_says_what_the_analysis_found(written: Path) -> None:
    """The error rate, the confused pair and how often, and that equal models do not differ."""
    text = re.sub(r"\s+", " ", (written / "index.html").read_text(encoding="utf-8"))
    assert "35.7<small>% word errors</small>" in text
    assert '<span class="said">play</span>' in text
    assert "2× of 3 said" in text
    assert "The two do not differ on these clips." in text


def test_pictures_are_png_of_the_cut(written: Path) -> None:
    """A column every 5 ms: 0.45 s before and after a word of 0.25 s is 230 steps, and the edge."""
    picture = (written / "media" / "001.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(picture[16:20], "big") == 231
    assert int.from_bytes(picture[20:24], "big") == 80
    with wave.open(str(written / "media" / "001.wav")) as file:
        assert file.getnframes() == round(1.15 * SECOND)


def test_a_report_on_nothing_readable(tmp_path: Path) -> None:
    """A clip that cannot be read has no picture, no slices and no confidence; the page says so and stands."""
    for module in ("jinja2", "librosa", "matplotlib"):
        pytest.importorskip(module, reason="needs voicesearch[report]")

    def fail(_: Path) -> Transcript:
        raise CorruptAudioError("cut short")

    failed = list(judge(fail, [Reference("bad.wav", tmp_path / "bad.wav", "stop it")]))
    folder = page.write(analyse(failed, Wanted("m.jsonl", findings=())), tmp_path / "r").parent
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "The model gives no confidence." in text
    assert "nothing found" in text
    assert list((folder / "media").iterdir()) == []


@pytest.mark.parametrize("module", ["jinja2", "librosa", "matplotlib"])
def test_a_missing_package_is_named(
    module: str, judgements: list[Judgement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics work without the extra; the page says what to install before it writes anything."""
    monkeypatch.setitem(sys.modules, module, None)
    analysis = analyse(judgements, Wanted("m.jsonl"))
    with pytest.raises(MissingPackageError, match=r"pip install 'voicesearch\[report\]'"):
        page.write(analysis, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def _heard(text: str) -> Transcript:
    words = tuple(Word(word, Span(0, 1), 0.9) for word in text.split())
    return Transcript(text, words, 0.9, None, clip(2.0), "other@2", "en")


def _rejudged(judgements: list[Judgement]) -> list[Judgement]:
    found = []
    for judgement in judgements:
        assert isinstance(judgement.outcome, Transcript)
        found += judge(lambda _, outcome=judgement.outcome: outcome, [judgement.reference])
    return found
