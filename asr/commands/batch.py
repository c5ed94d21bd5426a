"""``voicesearch batch INPUT OUTPUT``: many clips, over all cores, in a folder that keeps what is done.

The same command again goes on where it was interrupted, and does again what has changed since.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from asr.batch import inputs, job, outputs, shards
from asr.batch.cluster import Cluster
from asr.batch.inputs import Input
from asr.batch.pipeline import DAY_S, Pipeline
from asr.batch.plan import Counts
from asr.batch.shards import Line
from asr.benchmark import peak_rss_bytes
from asr.cluster import require
from asr.commands.command import DONE, SOME_FAILED, Command, version
from asr.commands.pipeline_options import add_hotwords_argument, add_pipeline_arguments, chosen
from asr.commands.progress import say
from asr.errors import OptionError
from asr.formats import ALL

ENGINES = ("local", "ray")
EVERYBODY = sys.maxsize  # as many actors as a cluster has room for


def add_arguments(parser: ArgumentParser) -> None:
    """What to hear, where to, and the pipeline."""
    parser.add_argument(
        "input",
        metavar="INPUT",
        help="a folder, a glob in quotes, a manifest (JSON lines with audio) or a Parquet file",
    )
    parser.add_argument(
        "output", metavar="OUTPUT", type=Path, help="a folder: new, or of the same job before"
    )
    parser.add_argument(
        "-f",
        "--output_format",
        "--output-format",
        dest="formats",
        action="append",
        default=[],
        choices=(*outputs.FORMATS, "all"),
        help="besides the shards; may be repeated. jsonl, parquet: one file of all rows; the others: a file per clip; "
        f"all is {', '.join(ALL)}",
    )
    parser.add_argument("--word-timestamps", action="store_true", help="srt, vtt, tsv: one cue a word")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=ENGINES[0],
        help="who hears: processes of this machine, or actors on a Ray cluster, whose nodes must all see INPUT and "
        "the model under the same path (a shared file system) and have the same voicesearch[ray]",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the Ray cluster, one of whose nodes this machine is; auto: the one that runs here (default: a new "
        "one, of this machine alone)",
    )
    parser.add_argument(
        "--workers", type=int, help="processes, or actors of the cluster (default: one for each core or GPU)"
    )
    parser.add_argument("--column", help="of a Parquet file, with the paths (default: audio or path)")
    parser.add_argument(
        "--checksum",
        action="store_true",
        help="tell changed files by their SHA-256, not their time of change",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="give up the rows of OUTPUT where they are of another model, other options or none of these clips",
    )
    parser.add_argument(
        "--shard-size", type=int, default=shards.CLIPS, metavar="CLIPS", help="at most (default %(default)s)"
    )
    parser.add_argument(
        "--max-duration",
        type=float,
        default=DAY_S,
        metavar="SECONDS",
        help="longer files become error rows (default %(default)g: a day)",
    )
    add_hotwords_argument(parser)
    add_pipeline_arguments(parser)


def run(args: Namespace) -> int:
    """Do what is left to do; the exit code says whether all clips could be read."""
    engine = _engine(args)
    pipeline = Pipeline(**chosen(args), hotwords=args.hotwords, max_duration_s=args.max_duration)
    formats = {name for asked in args.formats for name in (ALL if asked == "all" else (asked,))}
    wanted = job.Job(
        source=inputs.find(args.input, args.output, args.column, checksum=args.checksum),
        output=args.output,
        pipeline=pipeline,
        version=version(),
        formats=tuple(name for name in outputs.FORMATS if name in formats),
        per_word=args.word_timestamps,
        shard_clips=args.shard_size,
        force=args.force,
        **engine,
    )
    if args.workers is not None:
        wanted = replace(wanted, workers=args.workers)
    with Bar(elsewhere=args.engine == "ray") as bar:
        totals = job.run(wanted, bar)
    failed = f"{totals.failed:,} failed" if totals.failed else "none failed"
    rows = args.output / shards.FOLDER
    say(f"{totals.clips:,} clips, {totals.audio_s / 3600:.2f} h of audio, {failed}; rows in {rows}")
    if effort := bar.effort():
        say(effort)
    return SOME_FAILED if totals.failed else DONE


def _engine(args: Namespace) -> dict[str, Any]:
    """The fields of `job.Job` that say who hears. Raises OptionError and MissingPackageError."""
    if args.engine == "ray":
        require("data")
        here = partial(Cluster, installed=version, address=args.address)
        return {"engine": here, **({} if args.address is None else {"workers": EVERYBODY})}
    if args.address is not None:
        raise OptionError(f"--address {args.address} is of a Ray cluster: add --engine ray")
    return {}


class Bar:
    """Progress on stderr, if it is a terminal; names of clips that fail in any case.

    ``elsewhere``: clips are heard by processes whose memory is not seen from here.
    """

    def __init__(self, elsewhere: bool = False) -> None:
        self._elsewhere = elsewhere
        self._bar: tqdm | None = None
        self._audio_s = 0.0
        self._errors = 0
        self._began = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, message: str) -> None:
        """Above the bar."""
        say(message)

    def planned(self, counts: Counts, todo_bytes: int) -> None:
        """What there is to do."""
        say(str(counts))
        self._began = time.monotonic()
        if sys.stderr.isatty() and todo_bytes:
            # By bytes: what a clip takes goes with its length, which nobody knows before it is read.
            self._bar = tqdm(
                total=todo_bytes,
                file=sys.stderr,
                bar_format="{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}]",
            )

    def effort(self) -> str:
        """How fast it went, and the memory that it took; empty where nothing was heard."""
        if not self._audio_s:
            return ""
        took_s = time.monotonic() - self._began
        megabytes = f"{peak_rss_bytes() / 1e6:.0f} MB here"
        if self._elsewhere:
            megabytes += ", the actors on the cluster's nodes not counted"
        elif largest := peak_rss_bytes(children=True):
            megabytes += f", {largest / 1e6:.0f} MB in the largest process that was started and ended"
        speed = self._audio_s / max(took_s, 1e-3)
        return f"{self._audio_s / 3600:.2f} h in {took_s:.1f} s, {speed:.0f} times real time; at most {megabytes}"

    def heard(self, clip: Input, line: Line) -> None:
        """One clip more."""
        self._audio_s += line.duration_s
        if line.error is not None:
            self._errors += 1
            say(f"{clip.audio}: {line.error}: {json.loads(line.row)['error']['message']}")
        if self._bar is not None:
            speed = self._audio_s / max(time.monotonic() - self._began, 1e-3)
            self._bar.set_description_str(
                f"{self._audio_s / 3600:.2f} h of audio, {speed:.0f}x real time, {self._errors} errors",
                refresh=False,
            )
            self._bar.update(clip.size or 0)


COMMAND = Command("batch", "thousands of clips, interrupted and resumed", add_arguments, run)
