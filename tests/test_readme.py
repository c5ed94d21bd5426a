"""The README's commands and its Python example run as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from asr import bundle
from asr.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAMPLES = ROOT / "data" / "samples"

needs_model = pytest.mark.skipif(
    bundle.DEFAULT_MODEL not in bundle.available(), reason="needs the shipped model"
)


def console_lines() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line[2:].split("  #")[0].strip() for line in joined.splitlines() if line.startswith("$ ")]


def test_scripts_in_the_readme_exist() -> None:
    """Every scripts/NAME that the README and scripts/README.md speak of is there."""
    listed = (ROOT / "scripts" / "README.md").read_text(encoding="utf-8")
    names = set(re.findall(r"scripts/([a-z_0-9]+)\b(?!\.)", README))
    for row in re.findall(r"^\| (`.*?) \|", listed, re.MULTILINE):
        names |= set(re.findall(r"`([a-z_0-9]+)`", row))
    missing = {name for name in names if not (ROOT / "scripts" / name).exists()}
    assert missing == set()


def test_every_script_is_listed() -> None:
    """scripts/README.md lists every verb there is."""
    listed = (ROOT / "scripts" / "README.md").read_text(encoding="utf-8")
    verbs = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix}
    assert {verb for verb in verbs if f"`{verb}`" not in listed} == set()


@needs_model
@pytest.mark.parametrize(
    "line", [line for line in console_lines() if line.startswith("voicesearch transcribe")]
)
def test_transcribe_commands_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's transcribe lines work on clips of those names."""
    for name, sample in (
        ("query.wav", "play_jazz.wav"),
        ("a.flac", "timer.flac"),
        ("lecture.mp3", "train_station.mp3"),
    ):
        shutil.copy(SAMPLES / sample, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    if "--catalog" in line:
        (tmp_path / "items.jsonl").write_text('{"id": "1", "title": "blue lakes"}\n', encoding="utf-8")
        for earlier in (each for each in console_lines() if each.startswith("voicesearch catalog")):
            assert main(shlex.split(earlier)[1:]) == 0
    arguments = [
        word
        for part in shlex.split(line)[1:]
        for word in ([*map(str, tmp_path.glob(part))] if "*" in part else [part])
    ]
    assert main(arguments) == 0
    assert capsys.readouterr().out or list((tmp_path / "subtitles").iterdir())


@pytest.mark.parametrize(
    "verb", sorted({line.split()[1] for line in console_lines() if line.startswith("voicesearch ")})
)
def test_verbs_have_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every verb in the README prints its help."""
    if verb in ("train", "export"):
        pytest.importorskip("torch", reason="needs voicesearch[train]")
        module = __import__(f"asr.train.commands.{verb}", fromlist=["COMMAND"])
        assert module.COMMAND.name == verb
        return
    with pytest.raises(SystemExit) as exit_code:
        main([verb, "--help"])
    assert exit_code.value.code == 0
    assert "usage: voicesearch" in capsys.readouterr().out


@needs_model
def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's Python example prints a transcript and the events of a stream."""
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shutil.copy(SAMPLES / "play_jazz.wav", tmp_path / "query.wav")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"samples": np.zeros(16_000, dtype=np.float32)})
    printed = capsys.readouterr().out
    assert "Final(transcript=Transcript(text=''" in printed
