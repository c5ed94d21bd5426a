"""Models of the ``onnx-asr`` library through our front end: a tiny one, made here in a layout that it loads."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from asr import audio, model_name, onnx_asr_files
from asr.cli import main
from asr.errors import BundleError, MissingPackageError, OptionError
from asr.hotwords import Hotwords
from asr.onnx_asr_files import Named
from asr.onnx_asr_reader import OnnxAsrReader
from asr.onnx_asr_words import UNKNOWN, Heard, hypotheses
from asr.stages import Stages
from asr.stream import Final, Partial, Stream
from asr.transcribe import Transcriber
from asr.transcript import NullReason

onnx_asr = pytest.importorskip("onnx_asr", reason="needs the extra onnx-asr")
pytest.importorskip("onnx", reason="needs the extra train")

from onnx_asr.models.whisper import WhisperOrt  # noqa: E402 - after the skip
from onnx_asr_model import write  # noqa: E402 - after the skip

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
CLIP = SAMPLES / "timer.flac"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says something of everything."""
    return write(tmp_path_factory.mktemp("models") / "tiny", bias=1.0, language="en")


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    """Its name."""
    return f"onnx-asr:{folder}"


@pytest.fixture(scope="module")
def ours(model: str) -> Transcriber:
    """It, loaded."""
    return Transcriber.load(model)


def test_the_library_reads_the_same_text_of_the_same_segment(ours: Transcriber, folder: Path) -> None:
    """What it says of a levelled segment, directly or through us; and its text is the clip's."""
    direct = onnx_asr.load_model(None, folder)
    for name in ("timer.flac", "play_jazz.wav", "news.flac"):
        clip = audio.decode(SAMPLES / name)
        segments = ours.frontend.prepare(clip).segments
        texts = [direct.recognize(segment.samples) for segment in segments]
        assert all(texts)
        assert [ours.recognise(segment)[0].text for segment in segments] == [
            " ".join(text.split()) for text in texts
        ]
        assert ours.transcribe(clip).text == " ".join(texts)


def test_words_have_times_and_a_confidence(ours: Transcriber) -> None:
    """In order, within the speech, none longer than the pause to the next; posteriors of the tokens."""
    transcript = ours.transcribe(CLIP)
    spans = [word.span for word in transcript.words]
    assert all(len(span) > 0 for span in spans)
    assert all(before.end <= after.start for before, after in pairwise(spans))
    assert all(0.0 < word.confidence < 1.0 for word in transcript.words)
    assert transcript.language == "en"
    assert transcript.model.startswith("onnx-asr:tiny@")


def test_silence_is_a_typed_null(ours: Transcriber, tmp_path: Path) -> None:
    """The detector's, before the model is asked; and the model's that hears no words."""
    assert ours.transcribe(np.zeros(16_000, np.float32)).null_reason is NullReason.NO_SPEECH
    mute = Transcriber.load(f"onnx-asr:{write(tmp_path / 'mute', bias=99.0)}")
    transcript = mute.transcribe(CLIP)
    assert (transcript.text, transcript.null_reason) == ("", NullReason.NO_SPEECH)


def test_a_stream_has_finals_and_no_partials(ours: Transcriber) -> None:
    """Each utterance is read once; together they are the clip's text."""
    clip = audio.decode(CLIP)
    stream = Stream(ours)
    events = [
        event for at in range(0, len(clip), 1600) for event in stream.feed(clip[at : at + 1600])
    ] + stream.finish()
    assert not [event for event in events if isinstance(event, Partial)]
    texts = [event.transcript.text for event in events if isinstance(event, Final)]
    assert " ".join(texts) == ours.transcribe(clip).text


def test_the_identity_is_of_the_files_and_the_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another weight, another version of the library: another model. Where it lies does not matter."""
    first = model_name.describe(f"onnx-asr:{folder}").version
    assert model_name.describe(f"onnx-asr:nemo-conformer-ctc={folder}").version == first
    assert model_name.describe(f"onnx-asr:{write(tmp_path / 'a', 1)}").version != first
    assert model_name.describe(f"onnx-asr:{write(tmp_path / 'b', bias=1.0, language='en')}").version == first
    monkeypatch.setattr(onnx_asr_files.metadata, "version", lambda _: "9.9")
    assert model_name.describe(f"onnx-asr:{folder}").version != first


def test_what_its_search_cannot_honour_is_refused(
    ours: Transcriber, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hotwords, a beam, a catalogue: each by name, as bad usage."""
    with pytest.raises(OptionError, match=r"hotwords 'bob': .* takes none"):
        ours.transcribe(CLIP, hotwords=Hotwords(("bob",)))
    for options, message in (
        (["--hotwords", "play jazz"], "has a search of its own, which takes none"),
        (["--beam-size", "10"], "leave out beam_size"),
        (["--catalog", str(tmp_path)], "which no catalogue can guide"),
    ):
        assert main(["transcribe", str(CLIP), "--model", model, *options]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("onnx-asr:", "expected onnx-asr:NAME"),
        ("onnx-asr:=/tmp", "expected onnx-asr:NAME"),
        ("onnx-asr:nobody", "no model that onnx-asr knows"),
        ("onnx-asr:whisper-base", "not on this machine: voicesearch models pull onnx-asr:whisper-base"),
        ("onnx-asr:/nowhere", "/nowhere is no folder"),
        ("onnx-asr:{empty}", r"no folder of a model.*config\.json.*onnx-asr:TYPE=FOLDER"),
        ("onnx-asr:vosk={empty}", r"no folder of a model.*encoder\.onnx"),
        ("onnx-asr:rubbish={empty}", "no model that onnx-asr knows"),
    ],
)
def test_a_model_that_is_not_there_is_named(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do about it."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises((BundleError, OptionError), match=message):
        Transcriber.load(name.format(empty=tmp_path))


def test_a_precision_that_is_not_there_is_named(model: str) -> None:
    """It is the library's quantization: a part of the file's name."""
    with pytest.raises(BundleError, match="no folder of a model with int8 weights"):
        Transcriber.load(model, precision="int8")


def test_a_damaged_network_is_refused(tmp_path: Path) -> None:
    """By onnxruntime, in its own words."""
    broken = write(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="no model that onnx-asr loads"):
        Transcriber.load(f"onnx-asr:{broken}")


def test_without_the_package_the_message_says_what_to_install(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a traceback nor another model."""
    monkeypatch.setitem(sys.modules, "onnx_asr.loader", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'voicesearch\[onnx-asr\]'"):
        Transcriber.load(model)


def test_a_pull_without_a_network_says_so(tmp_path: Path) -> None:
    """In a process of its own, whose hub is a port where nobody listens."""
    pytest.importorskip("huggingface_hub", reason="needs the extra onnx-asr")
    home = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    result = subprocess.run(
        [sys.executable, "-m", "asr.cli", "models", "pull", "onnx-asr:whisper-base"],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "onnx-asr:whisper-base could not be fetched" in result.stderr
    assert "--model onnx-asr:FOLDER" in result.stderr


def test_a_folder_is_not_pulled(model: str) -> None:
    """It is here."""
    with pytest.raises(OptionError, match="there is nothing to pull"):
        onnx_asr_files.fetch(model)


def test_a_batch_runs_it_and_notices_another_one(
    model: str, ours: Transcriber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows as `transcribe` gives them; with other weights the same command refuses to mix."""
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "a.flac").write_bytes(CLIP.read_bytes())
    copy = write(tmp_path / "tiny", bias=1.0, language="en")
    command = ["batch", str(clips), str(tmp_path / "out"), "--model", f"onnx-asr:{copy}", "--workers", "1"]
    assert main(command) == 0
    (shard,) = (tmp_path / "out" / "shards").glob("*.jsonl")
    row = json.loads(shard.read_text(encoding="utf-8"))
    assert (row["text"], row["model"]) == (ours.transcribe(CLIP).text, ours.info.identity)
    write(copy, seed=1, bias=1.0, language="en")
    assert main(command) == 2
    assert "model was" in capsys.readouterr().err
    assert main([*command[:3], "--model", model, "--hotwords", "bob", "--force"]) == 2


def test_the_command_line_describes_and_checks_it(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``models info`` and ``doctor``."""
    assert main(["models", "info", model]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("model       onnx-asr:tiny@")
    main(["doctor", "--model", model, "--json"])
    checks = {check["name"]: check["status"] for check in json.loads(capsys.readouterr().out)}
    assert (checks["model"], checks["speech-like clip"]) == ("ok", "ok")


def test_it_is_evaluated_as_ours_are(
    model: str, ours: Transcriber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Error rates by the same rules: against its own words there is no error."""
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"audio": str(CLIP), "text": ours.transcribe(CLIP).text}) + "\n")
    assert main(["evaluate", str(manifest), "--model", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wer"] == 0.0


def test_it_is_served(model: str, ours: Transcriber) -> None:
    """By the worker processes of the service; hotwords are refused, drafts are not made."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    from serving.engine import Engine
    from serving.jobs import Hearing, WorkerSpec

    async def body() -> None:
        engine = await Engine.start(WorkerSpec(model), 1, budget_s=60.0)
        try:
            answer = await engine.transcribe(audio.decode(CLIP))
            assert answer.transcript == ours.transcribe(CLIP)
            with pytest.raises(OptionError, match="takes none"):
                await engine.transcribe(audio.decode(CLIP), Hearing(hotwords=Hotwords(("bob",))))
            segment = ours.frontend.prepare(audio.decode(CLIP)).segments[0]
            assert engine.recogniser().draft(segment) is None
        finally:
            await engine.close()

    asyncio.run(body())


def test_it_searches_no_catalogue(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in one command nor in the service: items are found by phones."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    assert main(["search", str(CLIP), "--model", model]) == 2
    assert "no phones to find items by" in capsys.readouterr().err


def test_the_network_has_a_stage_of_its_own(ours: Transcriber) -> None:
    """As bundles have; the search is inside."""
    stages = Stages()
    ours.transcribe(CLIP, stages=stages)
    assert {"decode", "vad", "model"} == stages.seconds.keys()


@pytest.mark.parametrize(
    ("name", "kind", "folder"),
    [
        ("onnx-asr:whisper-base", "whisper-base", None),
        ("onnx-asr:owner/model", "owner/model", None),
        ("onnx-asr:/a/b", None, Path("/a/b")),
        ("onnx-asr:./b", None, Path("b")),
        ("onnx-asr:vosk=b", "vosk", Path("b")),
        ("onnx-asr:/a=b/c", None, Path("/a=b/c")),
    ],
)
def test_names_and_folders_are_told_apart(name: str, kind: str | None, folder: Path | None) -> None:
    """A slash alone makes no folder: it also divides the owner from the model."""
    assert Named.parse(name) == Named(kind, folder)
    assert Named.parse(Named.parse(name).resolved()).kind == kind


def words(heard: Heard, samples: int = 16_000) -> list[tuple[str, int, int, float]]:
    """Of the one reading."""
    (reading,) = hypotheses(heard, samples)
    return [(w.text, w.start_frame, w.end_frame, round(w.confidence, 3)) for w in reading.words]


def test_tokens_make_words() -> None:
    """A word ends 120 ms after its last token begins, or where the next word does; its confidence is their mean."""
    half = float(np.log(0.5))
    heard = Heard(
        "play jazz, now", [" play", " ja", "zz", ",", " now"], [0.1, 0.3, 0.35, 0.4, 0.45], [half] * 5
    )
    assert words(heard) == [
        ("play", 1600, 3520, 0.5),
        ("jazz,", 4800, 7200, 0.5),
        ("now", 7200, 9120, 0.5),
    ]
    assert hypotheses(heard, 16_000)[0].score == pytest.approx(5 * half)


def test_without_times_the_segment_is_shared_out_by_letters() -> None:
    """Whisper tells the text alone; nothing is known of how sure it was."""
    assert words(Heard("one three"), 1000) == [("one", 0, 400, UNKNOWN), ("three", 400, 1000, UNKNOWN)]


def test_tokens_that_do_not_spell_the_text_are_of_all_of_it() -> None:
    """Bytes of letters, say."""
    heard = Heard("a b", ["<0x61>", "<0x62>"], [0.1, 0.2], [0.0, float(np.log(0.25))])
    assert words(heard, 1000) == [("a", 0, 500, 0.5), ("b", 500, 1000, 0.5)]


def test_probabilities_of_more_than_the_tokens_are_of_all_of_the_text() -> None:
    """Canary's may include those of marks."""
    heard = Heard("a b", ["a", " b"], [0.1, 0.2], [0.0, float(np.log(0.25)), float(np.log(0.5))])
    assert [confidence for *_, confidence in words(heard)] == [0.5, 0.5]


@pytest.mark.parametrize("log_prob", [3.0, float("inf"), float("nan"), -float("inf")])
def test_scores_that_are_no_probabilities_stay_within_bounds(log_prob: float) -> None:
    """Canary gives scores that may be above zero."""
    assert 0.0 <= words(Heard("a", ["a"], [0.1], [log_prob]))[0][3] <= 1.0


def test_no_words_are_no_reading() -> None:
    """Spaces are nothing."""
    assert hypotheses(Heard("  ", [" "], [0.1], [0.0]), 100) == []


def test_whisper_is_not_given_more_than_it_hears(model: str) -> None:
    """The library would leave out what is behind 30 seconds without a word."""
    whisper = SimpleNamespace(asr=WhisperOrt.__new__(WhisperOrt), with_timestamps=lambda: None)
    reader = OnnxAsrReader(model_name.describe(model), whisper)
    with pytest.raises(OptionError, match=r"hears 30 s at once, and this speech lasts 31\.0 s"):
        reader.read(np.zeros(31 * 16_000, np.float32))
