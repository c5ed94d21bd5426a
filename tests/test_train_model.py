"""scripts/train_model and scripts/list_librispeech: the recipe as one command."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "train_model"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)


def commands(stderr: str) -> dict[str, list[str]]:
    """Steps by name as --dry-run prints them."""
    named = (line.split(": ", 1) for line in stderr.splitlines())
    return {name: shlex.split(command) for name, command in named}


def recipe(tmp_path: Path, *more: str) -> list[str | Path]:
    manifests = ["--dev", "dev.jsonl", "--noise", "noise.jsonl", "--text", "texts", "--minutes", "7"]
    return [SCRIPT, tmp_path / "work", *manifests, "--dry-run", *more]


def test_every_script_of_the_recipe_exists(tmp_path: Path) -> None:
    """The dry run names, in order, the steps from manifests to an evaluated bundle, all of them our scripts."""
    result = run(*recipe(tmp_path, "--speech", "train.jsonl", "--synthetic-hours", "2"))
    assert result.returncode == 0, result.stderr
    steps = commands(result.stderr)
    assert list(steps) == [
        "prepare-train",
        "prepare-dev",
        "prepare-noise",
        "synthesise",
        "prepare-synthetic",
        "train-en-small",
        "words",
        "g2p",
        "export-en-small",
        "tune-en-small",
        "evaluate-en-small",
    ]
    scripts = [
        Path(part) for command in steps.values() for part in command if part.startswith(str(ROOT / "scripts"))
    ]
    assert len(scripts) == 9
    assert all(script.is_file() for script in scripts), scripts


def test_a_gpu_gets_its_own_settings(tmp_path: Path) -> None:
    """--device cuda trains in one process with large batches and full augmentation; what follows -- is passed on."""
    more = ("--speech", "train.jsonl", "--device", "cuda", "--name", "en-tiny", "--", "--seed", "5")
    command = commands(run(*recipe(tmp_path, *more)).stderr)["train-en-tiny"]
    assert "torchrun" not in command
    options = dict(itertools.pairwise(command))
    wanted = {
        "--device": "cuda",
        "--augmentation": "1.0",
        "--size": "en-tiny",
        "--minutes": "7.0",
        "--seed": "5",
    }
    assert {name: options[name] for name in wanted} == wanted
    assert float(options["--batch-s"]) >= 300


def test_a_finished_step_is_skipped(tmp_path: Path) -> None:
    """What is marked as done is not run again; the rest is."""
    done = tmp_path / "work" / "done"
    done.mkdir(parents=True)
    (done / "prepare-dev").touch()
    stderr = run(*recipe(tmp_path, "--speech", "train.jsonl")).stderr
    assert "prepare-dev: done before" in stderr
    assert "prepare-noise: /" in stderr


def test_a_failed_step_stops_the_recipe_with_its_status(tmp_path: Path) -> None:
    """A manifest that is not there fails in the first step: it is named, not marked as done, and nothing follows."""
    pytest.importorskip("torch", reason="needs voicesearch[train]")
    arguments = [part for part in recipe(tmp_path, "--speech", "missing.jsonl") if part != "--dry-run"]
    result = run(*arguments)
    assert result.returncode != 0
    assert "missing.jsonl" in result.stderr
    assert "prepare-missing failed" in result.stderr
    assert list((tmp_path / "work" / "done").iterdir()) == []


def test_without_speech_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    """Neither --speech nor --librispeech: a usage error that names both."""
    result = run(*recipe(tmp_path))
    assert result.returncode != 0
    assert "--speech" in result.stderr
    assert "--librispeech" in result.stderr


def test_manifests_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two manifests that would become one corpus are named before anything runs."""
    result = run(*recipe(tmp_path, "--speech", "a/train.jsonl", "b/train.jsonl"))
    assert result.returncode == 1
    assert "train comes twice" in result.stderr


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    """A folder laid out as the corpus is, with two short noises for utterances."""
    chapter = tmp_path / "corpora" / "LibriSpeech" / "dev-other" / "116" / "288045"
    chapter.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for utterance in ("116-288045-0000", "116-288045-0001"):
        soundfile.write(chapter / f"{utterance}.flac", 0.01 * rng.standard_normal(1600), 16_000)
    texts = "116-288045-0000 AS I APPROACHED THE CITY\n116-288045-0001 IT'S LATE\n"
    (chapter / "116-288045.trans.txt").write_text(texts)
    return tmp_path / "corpora"


def test_a_librispeech_folder_becomes_a_manifest(librispeech: Path, tmp_path: Path) -> None:
    """Every clip has its path relative to the manifest, normalised text, speaker, set and licence."""
    pytest.importorskip("torchaudio", reason="needs voicesearch[train]")
    manifest = tmp_path / "work" / "list.jsonl"
    result = run(ROOT / "scripts" / "list_librispeech", librispeech, "dev-other", "--out", manifest)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [row["text"] for row in rows] == ["as i approached the city", "it's late"]
    assert {(row["speaker"], row["set"], row["licence"]) for row in rows} == {
        ("librispeech_116", "librispeech_dev_other", "CC-BY-4.0")
    }
    assert all((manifest.parent / row["audio"]).is_file() for row in rows)


def test_a_missing_subset_says_how_to_get_it(tmp_path: Path) -> None:
    """Without the folder and without --download: one line that names the option."""
    pytest.importorskip("torchaudio", reason="needs voicesearch[train]")
    script = ROOT / "scripts" / "list_librispeech"
    result = run(script, tmp_path / "none", "dev-other", "--out", tmp_path / "list.jsonl")
    assert result.returncode == 1
    assert "--download" in result.stderr
    assert "Traceback" not in result.stderr
