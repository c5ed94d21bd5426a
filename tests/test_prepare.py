"""From clips to a corpus: what is kept, what is left out, and that it is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from asr.frontend import Frontend, FrontendOptions
from asr.loudness import active_speech_level
from asr.manifest import read_manifest
from asr.train.corpus import Corpus, CorpusWriter
from asr.train.prepare import clips_of_corpus, clips_of_manifest, keep_sound, keep_speech, write_corpus

RATE = 16_000


def manifest(folder: Path, rows: dict[str, tuple[np.ndarray | bytes, str]]) -> Path:
    lines = []
    for name, (content, text) in rows.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            soundfile.write(folder / name, content, RATE, format="WAV", subtype="PCM_16")
        lines.append(json.dumps({"audio": name, "text": text, "speaker": "s", "set": "toy"}))
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    return folder / "manifest.jsonl"


def test_kept_and_left_out_are_counted(tmp_path: Path) -> None:
    """A good clip is kept and levelled; a damaged one, silence, and a text too long for its clip are counted."""
    rng = np.random.default_rng(0)
    sound = rng.standard_normal(RATE) * 0.01
    rows = {
        "good.wav": (sound, "play some jazz"),
        "damaged.wav": (b"RIFF nonsense", "x"),
        "short.wav": (np.zeros(100), "x"),
        "long.wav": (sound, "word " * 50),
    }
    frontend = Frontend(FrontendOptions(vad="none"))
    clips = clips_of_manifest(read_manifest(manifest(tmp_path, rows)))
    outcome = write_corpus(clips, tmp_path / "corpus", keep_speech(frontend))
    assert outcome["kept"] == 1
    assert outcome["no speech found"] == 1
    assert outcome["text too long for the clip"] == 1
    assert sum(outcome.values()) == 4
    corpus = Corpus(tmp_path / "corpus")
    (entry,) = corpus.entries
    assert (entry.text, entry.set, entry.audio) == ("play some jazz", "toy", "good.wav")
    level = active_speech_level((corpus.samples(entry) / 32768.0).astype(np.float32))
    assert abs(level + 26) < 1.0


def test_noise_keeps_its_level(tmp_path: Path) -> None:
    """Noise is only trimmed of digital silence; a clip of nothing else is counted."""
    sound = np.full(RATE, 0.25)
    rows = {"rain.wav": (np.concatenate([sound, np.zeros(RATE)]), ""), "nothing.wav": (np.zeros(RATE), "")}
    clips = clips_of_manifest(read_manifest(manifest(tmp_path, rows), spoken=False))
    outcome = write_corpus(clips, tmp_path / "noise", keep_sound)
    assert outcome == {"kept": 1, "digital silence": 1}
    corpus = Corpus(tmp_path / "noise")
    assert corpus.samples(corpus.entries[0]).tolist() == [8192] * RATE


def test_synthetic_clips_keep_their_phones(tmp_path: Path) -> None:
    """A raw corpus goes through the same front end and keeps the phones that the synthesiser named."""
    with CorpusWriter(tmp_path / "raw") as writer:
        samples = (np.random.default_rng(0).standard_normal(RATE) * 3000).astype(np.int16)
        writer.add(samples, text="yes", phones=["Y", "EH", "S"], speaker="flite", set="synthesis", audio="1")
    clips = clips_of_corpus(Corpus(tmp_path / "raw"))
    outcome = write_corpus(clips, tmp_path / "out", keep_speech(Frontend(FrontendOptions(vad="none"))))
    assert outcome == {"kept": 1}
    assert Corpus(tmp_path / "out").entries[0].phones == ("Y", "EH", "S")
