"""``voicesearch export --from torchaudio:NAME``: the same classes, small, with random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import certify, rest, serving, whole

torch = pytest.importorskip("torch", reason="needs voicesearch[train]")
torchaudio = pytest.importorskip("torchaudio", reason="needs voicesearch[train]")
pytest.importorskip("onnx", reason="needs voicesearch[train]")

from asr import audio, bundle  # noqa: E402  # after the skips
from asr.bundle import Bundle  # noqa: E402
from asr.cli import main  # noqa: E402
from asr.errors import OptionError  # noqa: E402
from asr.hotwords import Hotwords  # noqa: E402
from asr.train.import_torchaudio import Source, pipelines  # noqa: E402
from asr.transcribe import Transcriber  # noqa: E402

# onnxruntime's quantiser calls an onnx function that onnx has deprecated; torch's exporter warns of its age.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CLIP = Path(__file__).parents[1] / "data" / "samples" / "timer.flac"
SMALL = {
    "extractor_conv_layer_config": [(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2],
    "encoder_embed_dim": 24,
    "encoder_pos_conv_kernel": 8,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 2,
    "encoder_num_heads": 4,
    "encoder_ff_interm_features": 48,
}
BASE, LARGE = (
    "WAV2VEC2_ASR_BASE_960H",
    "WAV2VEC2_ASR_LARGE_LV60K_960H",
)  # norm over time; norm over channels, of levels


@pytest.fixture(params=[BASE, LARGE])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipeline as torchaudio's, with fewer and narrower layers, under the name ``SMALL``."""
    shrink(request.param, monkeypatch)
    return "torchaudio:SMALL"


def shrink(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(torchaudio.pipelines, name)
    pipeline = replace(original, _params={**original._params, **SMALL})
    pipeline.__doc__ = original.__doc__
    monkeypatch.setattr(torchaudio.pipelines, "SMALL", pipeline, raising=False)


def weights_of(source: str, path: Path, *, unused: bool = False) -> tuple[Any, Path]:
    """A random model of torchaudio's own making, and its weights in a file; with the rows that fairseq's have."""
    torch.manual_seed(0)
    model = Source.named(source).build().eval()
    state = dict(model.state_dict())
    if unused:
        for name in ("aux.weight", "aux.bias"):
            state[name] = torch.cat([state[name][:1], 99 + state[name][:3], state[name][1:]])
    torch.save(state, path)
    return model, path


def noise(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(length) * 0.05 + 0.01).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("unused", [False, True], ids=["as built", "as published"])
def test_a_bundle_says_what_torchaudio_says(small: str, tmp_path: Path, unused: bool) -> None:
    """Log-probabilities within 1e-3 of the pipeline's own model, singly and in a batch of unlike lengths."""
    model, weights = weights_of(small, tmp_path / "weights.pth", unused=unused)
    if Source.named(small).pipeline._normalize_waveform:
        model = torchaudio.pipelines._wav2vec2.utils._extend_model(model, normalize_waveform=True)
    assert main(["export", "--from", small, str(tmp_path / "b"), "--weights", str(weights)]) == 0
    loaded = Bundle.load(tmp_path / "b")
    clips = noise(16_001, 1_600, 31_999)
    together = loaded.log_probs(clips)
    for clip, batched in zip(clips, together, strict=True):
        with torch.inference_mode():
            expected = torch.log_softmax(model(torch.from_numpy(clip)[None])[0], dim=-1)[0].numpy()
        (alone,) = loaded.log_probs([clip])
        assert alone.shape == expected.shape == batched.shape
        assert np.abs(alone - expected).max() < 1e-3
        assert np.abs(batched - alone).max() < 1e-4


def test_the_bundle_is_like_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where it comes from, spells on its own, and runs in transcribe and batch."""
    shrink(BASE, monkeypatch)
    _, weights = weights_of("torchaudio:SMALL", tmp_path / "weights.pth")
    folder = tmp_path / "spelling"
    command = ["export", "--from", "torchaudio:SMALL", str(folder), "--weights", str(weights)]
    assert main([*command, "--precision", "int8", "fp32"]) == 0
    assert "torch and ONNX agree to" in capsys.readouterr().err
    info = bundle.read(folder)
    bundle.verify(folder, info)
    assert (info.name, info.frame_samples, info.decoder.separator) == ("spelling", 320, "|")
    assert info.licence == "network: MIT License"
    assert info.training["source"].endswith("torchaudio.pipelines.SMALL")
    assert len(info.training["weights_sha256"]) == 64
    assert list(info.models) == ["int8", "fp32"]
    transcript = Transcriber.load(folder).transcribe(CLIP)
    assert set(transcript.text) <= set("abcdefghijklmnopqrstuvwxyz' ")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.flac").write_bytes(CLIP.read_bytes())
    out = tmp_path / "out"
    assert main(["batch", str(tmp_path / "clips"), str(out), "--model", str(folder), "--workers", "1"]) == 0
    row = json.loads(next((out / "shards").glob("*.jsonl")).read_text(encoding="utf-8"))
    assert (row["text"], row["model"]) == (transcript.text, info.identity)
    assert main(["transcribe", str(CLIP), "--model", str(folder), "--hotwords", "play"]) == 2
    assert main(["transcribe", str(CLIP), "--model", str(folder), "--beam-size", "5"]) == 2


def test_with_the_words_of_a_bundle_only_words_come_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transcriber: Transcriber
) -> None:
    """Its lexicon in letters and its language model; other words are listened for as they are written."""
    shrink(BASE, monkeypatch)
    _, weights = weights_of("torchaudio:SMALL", tmp_path / "weights.pth")
    folder = tmp_path / "words"
    command = ["export", "--from", "torchaudio:SMALL", str(folder), "--weights", str(weights)]
    assert main([*command, "--words", "en-small"]) == 0
    info = bundle.read(folder)
    assert info.decoder.lm == transcriber.info.decoder.lm
    assert transcriber.info.licence in info.licence
    lines = (folder / "lexicon.txt").read_text(encoding="utf-8").splitlines()
    assert "don't d o n ' t |" in lines
    ours = Transcriber.load(folder)
    samples = audio.decode(CLIP)[8000:24000]
    words = ours.transcribe(samples).words
    assert words
    assert {word.text for word in words} <= {line.split()[0] for line in lines}
    assert all(0 <= word.span.start <= word.span.end <= len(samples) for word in words)
    ours.reader.check(Hotwords(("zanzibarix",)))


def test_the_service_may_group_its_clips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker says of several at once what the transcriber says of each."""
    pytest.importorskip("structlog", reason="needs the extra serve")
    from serving.jobs import ClipJob, Heard, Hearing, WorkerSpec
    from serving.worker import Ears

    shrink(BASE, monkeypatch)
    _, weights = weights_of("torchaudio:SMALL", tmp_path / "weights.pth")
    folder = tmp_path / "b"
    assert main(["export", "--from", "torchaudio:SMALL", str(folder), "--weights", str(weights)]) == 0
    ours = Transcriber.load(folder)
    assert ours.reader.groups
    clip = audio.decode(CLIP)
    jobs = [ClipJob(clip, Hearing()), ClipJob(clip[8000:], Hearing())]
    for job, result in zip(jobs, Ears(WorkerSpec(str(folder))).hear(jobs), strict=True):
        assert isinstance(result, Heard)
        assert result.transcript.text == ours.transcribe(job.samples).text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "torchaudio:NOBODY", "F"], "expected torchaudio:NAME with one of HUBERT_ASR_LARGE"),
        (["--from", "torchaudio:WAV2VEC2_BASE", "F"], "expected torchaudio:NAME"),
        (["--from", "huggingface:x", "F"], "expected torchaudio:NAME"),
        (["--from", f"torchaudio:{BASE}", "F", "G"], "there is one path"),
        (["--from", f"torchaudio:{BASE}", "F", "--lexicon", "x"], "--lexicon: only for checkpoints"),
        (["--from", f"torchaudio:{BASE}", "F", "--corpora", "a", "b"], "--corpora: only for checkpoints"),
        (
            ["C", "F", "--encoder-only", "--name", "a", "--lexicon", "x", "--lm", "y", "--g2p", "z"],
            "--name, --lexicon, --lm, --g2p: only for bundles",
        ),
        (["C", "F", "--encoder-only", "--checkpoint-fp16", "x"], "--checkpoint-fp16: only for bundles"),
        (["F"], "expected CHECKPOINT, FOLDER and --lexicon"),
        (["C", "F", "--words", "en-small"], "--words: only for --from"),
    ],
)
def test_bad_usage_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is loaded."""
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_weights_of_something_else_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another network's, and a file that is none."""
    shrink(LARGE, monkeypatch)
    _, other = weights_of("torchaudio:SMALL", tmp_path / "weights.pth")
    shrink(BASE, monkeypatch)
    source = Source.named("torchaudio:SMALL")
    with pytest.raises(OptionError, match="weights of another network"):
        source.load(other)
    (tmp_path / "x.pth").write_bytes(b"nothing")
    with pytest.raises(OptionError, match="no state of a network that torch reads"):
        source.load(tmp_path / "x.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(OptionError, match="holds a list"):
        source.load(tmp_path / "list.pth")


def test_without_a_network_the_weights_can_be_brought(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address is named, and the option; the proxy here is a port where nobody listens."""
    shrink(BASE, monkeypatch)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert main(["export", "--from", "torchaudio:SMALL", str(tmp_path / "b")]) == 2
    error = capsys.readouterr().err
    assert "wav2vec2_fairseq_base_ls960_asr_ls960.pth could not be fetched" in error
    assert "--weights FILE" in error
    assert not (tmp_path / "b").exists()


def test_weights_that_break_off_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In torch's cache is the whole file or none, and the error is one line with what to do."""
    shrink(BASE, monkeypatch)
    _, weights = weights_of("torchaudio:SMALL", tmp_path / "weights.pth")
    content = weights.read_bytes()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate := certify(tmp_path)))
    monkeypatch.setattr("asr.download.PAUSES_S", (0.0, 0.0, 0.0))
    half = whole(content, upto=len(content) // 2, ETag='"v1"')
    cut = rest(content, upto=0, ETag='"v1"')
    with serving(certificate) as make:
        server = make(half, cut, tls=True)
        monkeypatch.setattr("asr.train.import_torchaudio.ADDRESS", server.url.rpartition("/")[0])
        command = ["export", "--from", "torchaudio:SMALL", str(tmp_path / "b")]
        assert main(command) == 2
        error = capsys.readouterr().err
        assert f"{len(content) // 2} of {len(content)} bytes came" in error
        assert "--weights FILE" in error
        source = Source.named("torchaudio:SMALL")
        cache = tmp_path / "torch" / "hub" / "checkpoints"
        assert not list(cache.glob("*.pth"))
        server.replies[:] = [rest(content, ETag='"v1"')]
        path = source.download()
        assert server.ranges()[-1] == f"bytes={len(content) // 2}-"
        asked = len(server.asked)
        assert source.download() == path
        assert len(server.asked) == asked
    assert path.parent == cache
    assert path.read_bytes() == content
    assert [each.name for each in cache.iterdir()] == [path.name]


def test_all_pipelines_that_write_are_known() -> None:
    """Letters, 320 samples a frame, a language and a licence each."""
    for name in pipelines():
        source = Source.named(f"torchaudio:{name}")
        assert source.tokens[:2] == ("<blank>", "|") or "|" in source.tokens
        assert source.frame_samples == 320
        assert source.language in ("de", "en", "es", "fr", "it")
        assert source.licence in ("MIT License", "CC BY-NC 4.0"), name
