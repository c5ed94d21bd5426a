"""The verbs end to end, through the real pipeline, with a network that hears "hello" in all speech."""

from __future__ import annotations

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from asr import __main__ as edge
from asr.benchmark import cut, gemm_share, voiced_noise
from asr.bundle import MANIFEST, DecoderSettings
from asr.cli import main
from asr.commands import pipeline_options
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.digest import file_digest
from asr.frontend import FrontendOptions

TOKENS = ("<blank>", "HH", "AH", "L", "OW")
PATH = (0, 0, 1, 0, 2, 0, 3, 0, 4, 4, 0, 0)  # token of each frame of 40 ms
PEAK = 0.97  # its probability


def network() -> onnx.ModelProto:
    """The interface of a bundle's model, with log-probabilities that do not depend on the audio."""
    log_probs = np.full((1, len(PATH), len(TOKENS)), np.log((1 - PEAK) / (len(TOKENS) - 1)), np.float32)
    log_probs[0, np.arange(len(PATH)), PATH] = np.log(PEAK)
    integers = {"rest": list(log_probs.shape[1:]), "count": [len(PATH)]}
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["audio_lengths"], ["batch"]),
            helper.make_node("Concat", ["batch", "rest"], ["shape"], axis=0),
            helper.make_node("Expand", ["fixed", "shape"], ["log_probs"]),
            helper.make_node("Expand", ["count", "batch"], ["frames"]),
            helper.make_node("Identity", ["audio"], ["unused"]),
        ],
        "hello",
        [
            helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", "samples"]),
            helper.make_tensor_value_info("audio_lengths", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["batch", "frames", len(TOKENS)]),
            helper.make_tensor_value_info("frames", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor("fixed", TensorProto.FLOAT, log_probs.shape, log_probs.ravel()),
            *(
                helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
                for name, values in integers.items()
            ),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(autouse=True)
def without_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where flashlight-text has no wheel every command says so first; here what else is said is compared."""
    if importlib.util.find_spec("flashlight") is None:
        monkeypatch.setattr(pipeline_options, "say", lambda _message: None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bundle with that network and a lexicon of one word."""
    folder = tmp_path_factory.mktemp("bundle")
    onnx.save(network(), folder / "model.onnx")
    (folder / "tokens.txt").write_text("".join(f"{token}\n" for token in TOKENS))
    (folder / "lexicon.txt").write_text("hello HH AH L OW\n")
    manifest = {
        "format": 1,
        "name": "hello",
        "language": "en",
        "frame_samples": 640,
        "models": {"fp32": "model.onnx"},
        "frontend": FrontendOptions().as_dict(),
        "decoder": DecoderSettings("lexicon.txt", None, DecoderOptions(), Calibration()).as_dict(),
        "licence": "Apache-2.0",
        "files": {path.name: file_digest(path) for path in folder.iterdir()},
        "training": {"flops_per_audio_s": 1e6},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return str(folder)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with ``speech.wav`` (2 s), ``silence.wav`` (1 s) and ``text.wav``, which is none."""
    soundfile.write(tmp_path / "speech.wav", voiced_noise(2.0), 16000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    (tmp_path / "text.wav").write_text("this is not audio")
    return tmp_path


def test_one_clip_gives_its_text_alone(model: str, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As whisper prints it: a line of text on stdout and nothing else."""
    assert main(["transcribe", str(clips / "speech.wav"), "--model", model]) == 0
    assert capsys.readouterr() == ("hello\n", "")


def test_the_edge_form_is_the_same(model: str, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m asr FILE`` with the options of ``transcribe``."""
    assert edge.main([str(clips / "speech.wav"), "--model", model, "--vad", "none"]) == 0
    assert capsys.readouterr() == ("hello\n", "")


def test_silence_is_an_empty_line_and_a_reason(
    model: str, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Null results are typed, and no failure."""
    path = clips / "silence.wav"
    assert main(["transcribe", str(path), "--model", model]) == 0
    assert capsys.readouterr() == ("\n", f"{path}: no speech (no_speech)\n")


def test_several_clips_are_named_and_go_on_after_a_failure(
    model: str, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a clip; the one that is no audio and the folder are named on stderr, and the exit code is 1."""
    names = [str(clips / name) for name in ("text.wav", "speech.wav", "silence.wav")] + [str(clips)]
    assert main(["transcribe", *names, "--model", model]) == 1
    shown = capsys.readouterr()
    assert shown.out == f"{names[1]}: hello\n{names[2]}:\n"
    lines = shown.err.splitlines()
    assert lines[0].startswith(f"{names[0]}: UnsupportedAudioError: ")
    assert lines[1] == f"{names[2]}: no speech (no_speech)"
    assert lines[2].startswith(f"{clips}: IsADirectoryError: ")
    assert lines[3:] == ["2 of 4 clips failed"]


def test_json_lines_have_a_row_a_clip(model: str, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Failed ones too, in the order given, with the path as given."""
    names = [str(clips / name) for name in ("speech.wav", "text.wav")]
    assert main(["transcribe", *names, "--model", model, "-f", "jsonl"]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(first) == [
        "audio",
        "text",
        "null_reason",
        "confidence",
        "language",
        "duration",
        "words",
        "clip",
        "model",
    ]
    assert (first["audio"], first["text"], first["duration"]) == (names[0], "hello", 2.0)
    assert (second["audio"], second["error"]["type"]) == (names[1], "UnsupportedAudioError")


def test_json_of_one_is_an_object_and_of_several_a_list(
    model: str, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both parse as they stand."""
    names = [str(clips / name) for name in ("speech.wav", "silence.wav", "text.wav")]
    assert main(["transcribe", names[0], "--model", model, "--output-format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "hello"
    assert main(["transcribe", *names, "--model", model, "--output_format", "json"]) == 1
    assert [row["audio"] for row in json.loads(capsys.readouterr().out)] == names


def test_standard_input(
    model: str, clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``-`` reads the audio file from there."""
    content = io.BytesIO((clips / "speech.wav").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    assert main(["transcribe", "-", "--model", model, "-f", "json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["audio"], row["text"]) == ("-", "hello")


def test_files_of_all_formats(model: str, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``-f all -o DIR``: five files a clip, nothing on stdout; a failed clip has only its JSON."""
    names = [str(clips / name) for name in ("speech.wav", "text.wav")]
    output = clips / "new" / "out"
    assert main(["transcribe", *names, "--model", model, "-f", "all", "-o", str(output)]) == 1
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in output.iterdir()) == [
        "speech.json",
        "speech.srt",
        "speech.tsv",
        "speech.txt",
        "speech.vtt",
        "text.json",
    ]
    assert (output / "speech.txt").read_text() == "hello\n"
    assert json.loads((output / "text.json").read_text())["error"]["type"] == "UnsupportedAudioError"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.wav", "-f", "all"], "--output_format all of 1 clip(s) needs a file each: add --output_dir"),
        (
            ["a.wav", "b.wav", "-f", "srt"],
            "--output_format srt of 2 clip(s) needs a file each: add --output_dir",
        ),
        (["x/a.wav", "a.mp3", "-o", "out"], "x/a.wav and a.mp3 would both be written to out/a.*"),
        (["a.wav", "--model", "absent"], "no model bundle 'absent': "),
        (["a.wav", "--threshold", "0.2"], "neg_threshold is 0.35; it must be in [0, threshold = 0.2]"),
        (["a.wav", "--beam-size", "0"], "beam_size is 0; expected at least 1"),
        (["a.wav", "--threads", "0"], "threads is 0; at least 1 is needed"),
        (["a.wav", "--precision", "int4"], "has no 'int4' model; it has fp32"),
    ],
)
def test_options_that_make_no_sense(
    model: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with one line, before anything is transcribed or written."""
    assert main(["transcribe", "--model", model, *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_detector_options_reach_the_front_end(
    model: str, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Speech of 2 s is too short where 5 s are asked for."""
    arguments = [
        "transcribe",
        str(clips / "speech.wav"),
        "--model",
        model,
        "--min-speech-duration-ms",
        "5000",
    ]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "\n"


def test_evaluate_a_manifest(model: str, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON on stdout; the clip that cannot be read is named and makes the exit code 1."""
    manifest = clips / "m.jsonl"
    rows = [("speech.wav", "hello there", "a"), ("silence.wav", "", "b"), ("text.wav", "no", "b")]
    manifest.write_text(
        "".join(json.dumps({"audio": audio, "text": text, "set": set_}) + "\n" for audio, text, set_ in rows)
    )
    arguments = ["evaluate", str(manifest), "--model", model]
    assert main([*arguments, "--json"]) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert list(found) == [
        "wer",
        "cer",
        "n_utterances",
        "n_words",
        "substitutions",
        "deletions",
        "insertions",
        "null_rate",
        "real_time_factor",
        "slices",
    ]
    assert (found["wer"], found["null_rate"], found["n_utterances"]) == (0.666667, 0.5, 3)
    assert {name: score["wer"] for name, score in found["slices"].items()} == {"set=a": 0.5, "set=b": 1.0}
    assert shown.err.splitlines()[0].startswith("text.wav: UnsupportedAudioError: ")
    assert main([*arguments, "--limit", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:5] == ["all", "50.0%", "54.5%", "2", "2"]


def test_a_name_that_is_no_text_ends_no_batch(
    model: str, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file name that is not UTF-8 comes out as JSON escapes it, on the strictest of outputs."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr("sys.stdout", out)
    assert (
        main(["transcribe", "--model", model, "-f", "jsonl", "b\udcff.wav", str(clips / "speech.wav")]) == 1
    )
    rows = [json.loads(line) for line in out.buffer.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert [row["audio"] for row in rows] == ["b\udcff.wav", str(clips / "speech.wav")]


def test_bench_reports_every_number(model: str, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The keys of conventions.md, for every clip length; the table has the same."""
    arguments = ["bench", str(clips / "speech.wav"), "--model", model, "--repeats", "2"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["latency_ms"]) == ["1", "2", "3", "5", "8", "15"]
    assert list(found["latency_ms"]["3"]) == ["p50", "p90", "p95", "p99", "real_time_factor", "speech_ratio"]
    assert all(found["latency_ms"][length]["speech_ratio"] > 0.5 for length in found["latency_ms"])
    for name in ("real_time_factor", "throughput_audio_s_per_s", "peak_rss_bytes", "import_s", "load_s"):
        assert found[name] > 0, name
    assert isinstance(found["gemm_peak_share"], float)  # how much depends on the machine
    assert main(arguments) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:8]] == [
        "1",
        "2",
        "3",
        "5",
        "8",
        "15",
    ]


def test_bench_cuts_and_tiles() -> None:
    """Clips start evenly over the material and wrap around its end."""
    material = np.arange(4, dtype=np.float32)
    assert [clip.tolist() for clip in cut(material, 6, 2)] == [[0, 1, 2, 3, 0, 1], [2, 3, 0, 1, 2, 3]]


def test_share_of_the_peak() -> None:
    """1 GFLOP a second of audio, 50 times real time, of 100 GFLOP/s; unknown without the first."""
    assert gemm_share(1e9, 0.02, 1e11) == 0.5
    assert gemm_share(None, 0.02, 1e11) is None


def test_doctor_checks_model_and_pipeline(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is needed is there, and the self-tests ran."""
    assert main(["doctor", "--model", model, "--json"]) == 0
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert found["silent clip"]["detail"] == "no text, as it should be (no_speech)"
    assert found["speech-like clip"]["detail"] == "3 s went through detector, model and search"
    assert found["soxr"]["status"] == "ok"


def test_doctor_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Without the model it fails, with the reason and the remedy on the line."""
    assert main(["doctor", "--model", "absent"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("FAIL  model              no model bundle 'absent'")
    assert last.endswith("-> voicesearch models pull SOURCE, or install again")
