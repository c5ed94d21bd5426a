"""``voicesearch transcribe AUDIO...``: text, JSON rows or subtitles, on stdout or in a folder.

A clip without text is told on stderr with its reason; a clip that cannot be read is named there, and the
others go on.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asr.audio import DEFAULT_LIMITS
from asr.commands.command import DONE, SOME_FAILED, Command
from asr.commands.pipeline_options import (
    add_hotwords_argument,
    add_pipeline_arguments,
    load_transcriber,
)
from asr.commands.progress import progress, say
from asr.errors import AudioError, OptionError
from asr.formats import ALL, CUE_WRITERS, FORMATS, json_text, render, row
from asr.transcript import Transcript

STDIN = "-"

Transcribe = Callable[[Path | bytes], Transcript]


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go (``folder`` None: stdout) and in which format; ``per_word``: a cue for each word."""

    format: str = "txt"
    folder: Path | None = None
    per_word: bool = False


def add_arguments(parser: ArgumentParser) -> None:
    """Audio files, output and pipeline."""
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="audio files; - is standard input")
    parser.add_argument(
        "-f",
        "--output_format",
        "--output-format",
        choices=(*FORMATS, "all"),
        default="txt",
        help=f"default %(default)s; all is {', '.join(ALL)}",
    )
    parser.add_argument(
        "-o", "--output_dir", "--output-dir", type=Path, help="a file per clip goes here (default: stdout)"
    )
    parser.add_argument("--word-timestamps", action="store_true", help="srt, vtt, tsv: one cue a word")
    add_hotwords_argument(parser)
    add_pipeline_arguments(parser)


def run(args: Namespace) -> int:
    """Transcribe as asked."""
    output = Output(args.output_format, args.output_dir, args.word_timestamps)
    check(args.audio, output)
    transcribe = partial(load_transcriber(args).transcribe, hotwords=args.hotwords)
    return transcribe_files(transcribe, args.audio, output)


def check(names: Sequence[str], output: Output) -> None:
    """Raise OptionError where results would mix on stdout or overwrite each other in the folder."""
    if output.folder is None:
        if output.format == "all" or (output.format in CUE_WRITERS and len(names) > 1):
            raise OptionError(
                f"--output_format {output.format} of {len(names)} clip(s) needs a file each: add --output_dir"
            )
        return
    seen: dict[str, str] = {}
    for name in names:
        stem = _stem(name)
        if stem in seen:
            raise OptionError(f"{seen[stem]} and {name} would both be written to {output.folder / stem}.*")
        seen[stem] = name


def transcribe_files(transcribe: Transcribe, names: Sequence[str], output: Output) -> int:
    """Transcribe the clips one after the other; the exit code says whether all could be read."""
    if output.folder is not None:
        output.folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for at, name in enumerate(progress(names, "clip", results_on_stdout=output.folder is None)):
        outcome = attempt(transcribe, name)
        if isinstance(outcome, Exception):
            failed += 1
            say(f"{name}: {type(outcome).__name__}: {outcome}")
        elif outcome.null_reason is not None:
            say(f"{name}: {NULL_MESSAGES[outcome.null_reason]} ({outcome.null_reason})")
        if output.folder is None:
            _print(name, outcome, output, at, len(names))
        else:
            _write(name, outcome, output, output.folder)
    if failed and len(names) > 1:
        say(f"{failed} of {len(names)} clips failed")
    return SOME_FAILED if failed else DONE


NULL_MESSAGES = {
    "no_speech": "no speech",
    "too_quiet": "too quiet to hear",
    "too_short": "too short to hold a word",
    "low_confidence": "not understood",
}


def attempt(transcribe: Transcribe, name: str) -> Transcript | AudioError | OSError:
    """The transcript, or what is wrong with this clip."""
    try:
        if name == STDIN:  # a byte above the limit shows that there is too much
            return transcribe(sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1))
        return transcribe(Path(name))
    except (AudioError, OSError) as error:
        return error


def _print(name: str, outcome: Transcript | Exception, output: Output, at: int, count: int) -> None:
    """One clip on stdout: of several, text is preceded by the name, and JSON objects form a list."""
    if output.format == "json" and count > 1:
        item = json_text(row(name, outcome)).rstrip("\n")
        text: str | None = ("[\n" if at == 0 else ",\n") + item + ("\n]\n" if at == count - 1 else "")
    elif output.format == "txt" and count > 1 and isinstance(outcome, Transcript):
        text = f"{name}: {outcome.text}".rstrip() + "\n"
    else:
        text = render(name, outcome, output.format, per_word=output.per_word)
    if text is not None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _write(name: str, outcome: Transcript | Exception, output: Output, folder: Path) -> None:
    for extension in ALL if output.format == "all" else (output.format,):
        text = render(name, outcome, extension, per_word=output.per_word)
        if text is not None:
            (folder / f"{_stem(name)}.{extension}").write_text(
                text, encoding="utf-8", errors="backslashreplace"
            )


def _stem(name: str) -> str:
    return "stdin" if name == STDIN else Path(name).stem


COMMAND = Command("transcribe", "audio files to text, JSON or subtitles", add_arguments, run)
