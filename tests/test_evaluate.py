"""``asr.evaluate`` and ``asr.manifest``: counts of a small set by hand."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asr.commands import evaluate as verb
from asr.commands.evaluate import judge_all, slice_keys, table, words_of
from asr.errors import CorruptAudioError, OptionError
from asr.evaluate import Evaluation, evaluate, judge, summarise
from asr.manifest import Reference, read_manifest
from asr.transcript import ClipStats, NullReason, Span, Transcript, Word

CLIP = ClipStats(2.0, None, 0.0, None, 0.0, 0.0, 2.0, 0.0)
HEARD = {"one.wav": "call mum now", "two.wav": "call dad", "null.wav": "", "three.wav": "go"}


def transcribe(path: Path) -> Transcript:
    """What was heard in the clip of that name; ``bad.wav`` cannot be read."""
    if path.name == "bad.wav":
        raise CorruptAudioError("bad.wav: cut short")
    text = HEARD[path.name]
    words = tuple(Word(word, Span(0, 1), 0.75) for word in text.split())
    reason = None if text else NullReason.NO_SPEECH
    return Transcript(text, words, 0.75 if text else 0.0, reason, CLIP, "tiny@1", "en")


def reference(audio: str, text: str, **values: object) -> Reference:
    """A row of a manifest in ``/m``."""
    return Reference(audio, Path("/m") / audio, text, dict(values))


ROWS = [
    reference("one.wav", "call mum", set="a", duration=0.9),
    reference("two.wav", "call mum", set="a", duration=8),
    reference("null.wav", "play jazz", set="b", duration=1.0),
    reference("bad.wav", "stop it", set="b", duration=7.99),
]


def test_public_object_of_an_evaluation() -> None:
    """Errors are added up before dividing; a failed clip counts as deleted words but not as a null."""
    found = evaluate(transcribe, ROWS, ["set"]).as_dict()
    speed = found.pop("real_time_factor")
    slices = found.pop("slices")
    assert found == {
        "wer": 0.75,  # 1 insertion + 1 substitution + 2 deletions + 2 deletions, of 8 words
        "cer": 0.71875,  # 4 + 3 + 9 + 7 edits, of 8 + 8 + 9 + 7 characters
        "n_utterances": 4,
        "n_words": 8,
        "substitutions": 1,
        "deletions": 4,
        "insertions": 1,
        "null_rate": 0.333333,
    }
    assert isinstance(speed, float)  # how fast depends on the machine
    assert list(slices) == ["set=a", "set=b"]
    assert slices["set=a"]["wer"] == 0.5
    assert slices["set=b"] | {"real_time_factor": None} == {
        "wer": 1.0,
        "cer": 1.0,
        "n_utterances": 2,
        "n_words": 4,
        "substitutions": 0,
        "deletions": 4,
        "insertions": 0,
        "null_rate": 1.0,
        "real_time_factor": None,
    }


def test_duration_is_cut_into_ranges() -> None:
    """A range holds its lower edge and not its upper one."""
    found = evaluate(transcribe, ROWS, ["duration"])
    assert {name: score.n_utterances for name, score in found.slices.items()} == {
        "duration=0-1": 1,
        "duration=1-2": 1,
        "duration=4-8": 1,
        "duration=8+": 1,
    }


def test_words_heard_in_silence_have_no_rate() -> None:
    """Insertions against no reference words: the rate is null, never infinity; they are still counted."""
    score = evaluate(transcribe, [reference("three.wav", "")]).score
    assert (score.wer, score.cer, score.words.insertions) == (None, None, 1)


def test_only_failed_clips_have_no_speed_and_no_null_rate() -> None:
    """Nothing was transcribed, so there is nothing to divide by."""
    score = evaluate(transcribe, [reference("bad.wav", "stop")]).score
    assert (score.wer, score.null_rate, score.real_time_factor) == (1.0, None, None)


def test_a_slice_that_no_row_has_is_refused() -> None:
    """A misspelt key is told, with those that exist."""
    with pytest.raises(OptionError, match="'sett'"):
        summarise(list(judge(transcribe, ROWS)), ["sett"])
    with pytest.raises(OptionError, match="--slice sett: no row has this key; there are duration, set"):
        slice_keys(ROWS, ["sett"])


def test_set_is_a_slice_where_it_exists() -> None:
    """Asked or not; keys asked for twice count once."""
    assert slice_keys(ROWS, ["duration", "set", "duration"]) == ["set", "duration"]
    assert slice_keys([reference("a.wav", "a")], []) == []


def test_row_per_utterance(tmp_path: Path) -> None:
    """``--output``: reference, hypothesis, errors and confidence of each; an error where it failed."""
    output = tmp_path / "rows.jsonl"
    judge_all(transcribe, [ROWS[0], ROWS[3]], output)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert isinstance(rows[0].pop("seconds"), float)
    assert rows == [
        {
            "audio": "one.wav",
            "ref": "call mum",
            "hyp": "call mum now",
            "errors": 1,
            "n_words": 2,
            "substitutions": 0,
            "deletions": 0,
            "insertions": 1,
            "null_reason": None,
            "confidence": 0.75,
            "duration": 2.0,
        },
        {
            "audio": "bad.wav",
            "ref": "stop it",
            "hyp": "",
            "errors": 2,
            "n_words": 2,
            "substitutions": 0,
            "deletions": 2,
            "insertions": 0,
            "error": {"type": "CorruptAudioError", "message": "bad.wav: cut short"},
        },
    ]


def test_table_has_a_line_for_the_whole_and_each_slice() -> None:
    """The whole first, slices in order, dashes where there is no number."""
    lines = table(evaluate(transcribe, ROWS[2:], ["set"])).splitlines()
    assert [line.split()[0] for line in lines] == ["WER", "all", "set=b"]
    assert lines[1].split()[1:7] == ["100.0%", "100.0%", "2", "4", "0/4/0", "100.0%"]
    assert table(Evaluation(evaluate(transcribe, [ROWS[3]]).score)).splitlines()[1].split()[-2:] == ["-", "-"]


def test_manifest_paths_are_relative_to_it(tmp_path: Path) -> None:
    """Audio is looked for beside the manifest; further keys are kept; blank lines and a limit work."""
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(
        '{"audio": "d/a.wav", "text": "a", "set": "x"}\n\n{"audio": "/b.wav", "text": "b"}\nnot json\n'
    )
    assert read_manifest(manifest, 2) == [
        Reference("d/a.wav", tmp_path / "d/a.wav", "a", {"set": "x"}),
        Reference("/b.wav", Path("/b.wav"), "b", {}),
    ]
    with pytest.raises(
        OptionError, match="line 4: expected a JSON object with audio and text, got 'not json'"
    ):
        read_manifest(manifest)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("[1]\n", "line 1: expected a JSON object"),
        ('{"audio": "a.wav"}\n', "line 1: expected a JSON object"),
        ('{"audio": 3, "text": "a"}\n', "line 1: audio and text must be strings"),
    ],
)
def test_bad_manifests_are_refused(tmp_path: Path, content: str, message: str) -> None:
    """What is wrong is said with the line."""
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(content)
    with pytest.raises(OptionError, match=message):
        read_manifest(manifest)


def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    """Zero rows would be an evaluation of nothing."""
    with pytest.raises(OptionError, match="limit is 0"):
        read_manifest(tmp_path / "m.jsonl", 0)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The verb, with models that hear what ``HEARD`` says; the model ``other`` hears nothing."""

    def load(args: Namespace) -> Any:
        silent = Transcript("", (), 0.0, NullReason.NO_SPEECH, CLIP, "other@2", "en")
        return SimpleNamespace(transcribe=(lambda _: silent) if args.model == "other" else transcribe)

    monkeypatch.setattr(verb, "load_transcriber", load)
    parser = ArgumentParser()
    verb.add_arguments(parser)
    return verb.run(parser.parse_args(arguments))


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    """Three clips of two speakers that are heard; the label of the first breaks the guideline."""
    path = tmp_path / "m.jsonl"
    rows = [("one.wav", "Call mum", "a"), ("two.wav", "call mum", "a"), ("three.wav", "go", "b")]
    path.write_text("".join(json.dumps({"audio": a, "text": t, "speaker": s}) + "\n" for a, t, s in rows))
    return str(path)


def test_json_of_the_verb_gets_new_keys_only_when_asked(
    manifest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The public object is the same but for ``labels`` and ``compare``."""
    assert run(monkeypatch, manifest, "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert run(monkeypatch, manifest, "--json", "--check-labels", "--compare", "other") == 0
    full = json.loads(capsys.readouterr().out)
    found, compared = full.pop("labels"), full.pop("compare")
    assert full == plain | {"real_time_factor": full["real_time_factor"]}
    assert ("one.wav", "guideline") in [(one["audio"], one["kind"]) for one in found]
    assert (compared["second"]["model"], compared["second"]["wer"]) == ("other@2", 1.0)
    assert compared["matched_pairs"]["segments"] == 3
    assert compared["matched_pairs"]["mean"] == pytest.approx((1 + 1 + 1) / 3)


def test_the_verb_tells_people_what_it_found(
    manifest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the table: findings by kind and clip, then the test of the two models in a sentence."""
    run(monkeypatch, manifest, "--check-labels", "--compare", "other")
    text = capsys.readouterr().out
    assert text.startswith("     ")
    assert "guideline (capitals)  one.wav: 'Call', expected 'call'" in text
    assert "tiny@1  40.0%, other@2 100.0%: no difference in 3 segments" in text


def test_a_report_is_written_where_asked(
    manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is told on stderr, where results are not; texts of training make a slice."""
    for module in ("jinja2", "librosa", "matplotlib"):
        pytest.importorskip(module, reason="needs voicesearch[report]")
    texts = tmp_path / "texts.txt"
    texts.write_text("call me\ngo\n")
    run(monkeypatch, manifest, "--report", str(tmp_path / "r"), "--training-texts", str(texts))
    assert "index.html" in capsys.readouterr().err
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert {name for name in report["slices"] if name.startswith("words unseen")} == {
        "words unseen in training=none",
        "words unseen in training=over 10 %",
    }
    assert set(report["slices"]) >= {"speaker=a", "speaker=b"}


def test_training_texts_are_lines_or_a_manifest(tmp_path: Path) -> None:
    """Words as the error rates see them; a file without any is a mistake."""
    path = tmp_path / "texts"
    path.write_text('{"audio": "a.wav", "text": "Call mum"}\nplay it!\n')
    assert words_of(path) == {"call", "mum", "play", "it"}
    path.write_text("12 34\n")
    with pytest.raises(OptionError, match="has no words"):
        words_of(path)
