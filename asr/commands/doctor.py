"""``voicesearch doctor``: is everything here that transcription needs, and does it work?"""

from __future__ import annotations

import json
import os
import platform
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import onnxruntime
import soundfile

from asr import bundle, model_name, onnx_asr_files
from asr.benchmark import voiced_noise
from asr.commands.command import DONE, SOME_FAILED, Command, version
from asr.errors import AsrError
from asr.transcribe import Transcriber
from asr.transcript import SAMPLE_RATE_HZ, NullReason

NEEDED = ("numpy", "onnxruntime", "soundfile", "soxr", "webrtcvad-wheels", "tqdm")
OPTIONAL = {
    "flashlight-text": "without it more words are wrong: pip install flashlight-text, on Python before 3.13",
    "torch": "only for training: pip install 'voicesearch[train]'",
    "silero-vad": "only for --vad silero: pip install 'voicesearch[silero]'",
}
MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True, slots=True)
class Check:
    """One line: ``status`` is ok, warn (something optional) or fail; ``advice`` says what to do then."""

    name: str
    status: str
    detail: str
    advice: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    """The model to test."""
    parser.add_argument(
        "--model", default=bundle.DEFAULT_MODEL, help=f"{model_name.FORMS} (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="JSON list instead of lines")


def run(args: Namespace) -> int:
    """Check everything; 1 if something needed fails."""
    checks = [*system_checks(), *package_checks(), *model_checks(args.model)]
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            advice = f" -> {check.advice}" if check.advice else ""
            print(f"{MARKS[check.status]}  {check.name:18} {check.detail}{advice}")
    return SOME_FAILED if any(check.status == "fail" for check in checks) else DONE


def system_checks() -> list[Check]:
    """The machine and what ONNX Runtime can use of it."""
    providers = onnxruntime.get_available_providers()
    return [
        Check("voicesearch", "ok", f"{version()} in {Path(bundle.__file__).parent}"),
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        Check("processors", "ok", f"{os.cpu_count()} ({platform.machine()})"),
        Check("libsndfile", "ok", soundfile.__libsndfile_version__),
        Check("onnxruntime uses", "ok", ", ".join(providers)),
    ]


def package_checks() -> list[Check]:
    """Packages of the runtime, and those that it can do without."""
    return [
        *(_package(name, "fail", f"pip install {name}") for name in NEEDED),
        *(_package(name, "warn", advice) for name, advice in OPTIONAL.items()),
    ]


def _package(name: str, absent: str, advice: str) -> Check:
    try:
        return Check(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name, absent, "not installed", advice)


def model_checks(model: str) -> list[Check]:
    """The model's files, and two clips through the whole pipeline."""
    try:
        if onnx_asr_files.is_named(model):
            info = onnx_asr_files.describe(model)
            verified = Check("model", "ok", f"{info.identity}, {len(info.files)} files")
        else:
            folder = bundle.find(model)
            info = bundle.read(folder)
            bundle.verify(folder, info)
            verified = Check("model", "ok", f"{info.identity} in {folder}, all digests right")
        with warnings.catch_warnings():  # of flashlight-text, which has a line of its own
            warnings.simplefilter("ignore", RuntimeWarning)
            transcriber = Transcriber.load(model)
    except (AsrError, OSError) as error:
        return [Check("model", "fail", str(error), "voicesearch models pull SOURCE, or install again")]
    return [
        verified,
        _attempt("silent clip", lambda: _silence(transcriber)),
        _attempt("speech-like clip", lambda: _voice(transcriber)),
    ]


def _silence(transcriber: Transcriber) -> Check:
    transcript = transcriber.transcribe(0 * voiced_noise(1.0))
    if transcript.null_reason is NullReason.NO_SPEECH:
        return Check("silent clip", "ok", "no text, as it should be (no_speech)")
    return Check(
        "silent clip",
        "fail",
        f"gave {transcript.text!r} ({transcript.null_reason})",
        "report this with --json",
    )


def _voice(transcriber: Transcriber) -> Check:
    """What is heard in it does not matter; that the detector, the model and the search ran does."""
    clip = voiced_noise(3.0)
    transcript = transcriber.transcribe(clip)
    if transcript.clip.speech_ratio > 0.0:
        detail = f"{len(clip) / SAMPLE_RATE_HZ:.0f} s went through detector, model and search"
        return Check("speech-like clip", "ok", detail)
    return Check("speech-like clip", "warn", "the detector heard nothing in it", "try --vad webrtc on speech")


def _attempt(name: str, check: Callable[[], Check]) -> Check:
    """A self-test that raises has failed, whatever it raises: finding that out is what it is for."""
    try:
        return check()
    except Exception as error:
        return Check(
            name, "fail", f"{type(error).__name__}: {error}", "install again; report it if that is no help"
        )


COMMAND = Command("doctor", "check the installation and what to do about it", add_arguments, run)
