"""``asr.cli``: verbs, exit codes and what is said to a person. What the verbs do is in ``test_commands``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asr.cli import COMMANDS, guarded, main
from asr.errors import BundleError, DeviceError, OptionError

VERBS = ["transcribe", "batch", "evaluate", "bench", "models", "catalog", "doctor"]


def installed(folder: Path, module: str) -> None:
    """A distribution ``extra`` whose entry point brings the verb ``fly``."""
    info = folder / "extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[voicesearch.commands]\nfly = {module}:COMMAND\n")


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Each runtime verb with its summary."""
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [command.name for command in COMMANDS] == VERBS
    assert all([command.name, *command.summary.split()] in lines for command in COMMANDS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every verb explains itself."""
    with pytest.raises(SystemExit) as exit_:
        main([verb, "--help"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: voicesearch {verb} ")


@pytest.mark.parametrize("verb", [["serve"], ["doctor"], ["models", "info"], ["transcribe"]])
def test_models_of_others_are_told(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever a model may be named, the help says that it may be one of onnx-asr."""
    if verb == ["serve"]:
        pytest.importorskip("fastapi", reason="needs the extra serve")
    with pytest.raises(SystemExit):
        main([*verb, "--help"])
    assert "name or folder, or onnx-asr:NAME" in " ".join(capsys.readouterr().out.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stdout."""
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("voicesearch ")


@pytest.mark.parametrize("arguments", [[], ["sing"], ["transcribe"], ["models"]])
def test_bad_usage_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No verb, an unknown verb, a verb without what it needs."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("usage: voicesearch")


def test_a_verb_of_another_package_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes from the entry-point group, with its own arguments and exit code."""
    installed(tmp_path, "birds.commands.fly")
    (tmp_path / "birds" / "commands").mkdir(parents=True)
    (tmp_path / "birds" / "commands" / "fly.py").write_text(
        "from asr.commands.command import Command\n"
        "COMMAND = Command('fly', 'up', lambda p: p.add_argument('height', type=int), lambda a: a.height)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["fly", "7"]) == 7
    assert capsys.readouterr().err == ""


def test_a_verb_without_its_packages_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The extra is named after the package that the verb belongs to; help lists it without importing it."""
    installed(tmp_path, "no_such_birds.commands.fly")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["fly", "--anything"]) == 2
    assert capsys.readouterr().err == (
        "voicesearch fly needs packages that are not installed (No module named 'no_such_birds'): "
        "pip install 'extra[no_such_birds]'\n"
    )
    with pytest.raises(SystemExit):
        main(["--help"])
    assert ["fly", "(needs", "extra[no_such_birds])"] in map(str.split, capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    "error", [OptionError("bad"), BundleError("bad"), DeviceError("bad"), FileNotFoundError("bad")]
)
def test_expected_errors_are_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and the message, without a traceback."""

    def run() -> int:
        raise error

    assert guarded(run) == 2
    assert capsys.readouterr() == ("", "voicesearch: bad\n")


def test_our_own_bugs_keep_their_traceback() -> None:
    """Only errors made on purpose are made short."""

    def run() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(run)


def test_interrupted_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C: the shell's code and no words."""

    def run() -> int:
        raise KeyboardInterrupt

    assert guarded(run) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_left_is_no_error() -> None:
    """As with ``voicesearch ... | head``: no traceback, also not when Python exits."""
    code = (
        "import sys; from asr.cli import guarded\n"
        "sys.exit(guarded(lambda: [print('x' * 100000) for _ in range(100)] and 0))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
