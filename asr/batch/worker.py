"""A worker process: loads the model once, then answers clip after clip with its row, until the parent is gone.

Decoding, detector, network and search of a clip run one after the other in one process: Python's threads would wait
for one another, and samples would have to be copied between processes.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import warnings
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from asr.audio import decode_blocks
from asr.batch.pipeline import Pipeline
from asr.batch.recording import transcribe_blocks
from asr.batch.shards import Line
from asr.errors import AsrError, BundleError, UnsupportedAudioError
from asr.formats import jsonl, row
from asr.transcribe import Transcriber
from asr.transcript import SAMPLE_RATE_HZ, Transcript

LONG = 300 * SAMPLE_RATE_HZ  # samples: 19 MB. What is longer is heard block by block


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker loads, which model it must find there (``name@digest``), and where clips' names begin."""

    pipeline: Pipeline
    identity: str
    root: Path


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded; what was warned of meanwhile."""

    warnings: tuple[str, ...] = ()


def main(connection: Connection, spec: WorkerSpec) -> None:
    """Body of the process: `Ready` or the error that kept it from loading, then a `Line` for each name received."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        os.chdir(spec.root)  # errors then name a clip as its row does
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            transcriber = spec.pipeline.load()
        if transcriber.info.identity != spec.identity:
            raise BundleError(
                f"{spec.pipeline.model} is {transcriber.info.identity} and was {spec.identity} when the job "
                "began: it was replaced meanwhile; start again"
            )
    except (AsrError, OSError) as error:
        connection.send(error)
        return
    connection.send(Ready(tuple(str(warning.message) for warning in caught)))
    with suppress(EOFError, ConnectionError):  # the parent wants no more, or is gone
        while True:
            connection.send(line(transcriber, connection.recv(), spec.pipeline))


def line(transcriber: Transcriber, audio: str, pipeline: Pipeline) -> Line:
    """The row of a clip, whatever is wrong with it."""
    outcome: Transcript | Exception
    try:
        outcome = transcribe(transcriber, Path(audio), pipeline)
    except Exception as error:  # a clip that finds a fault of ours must not end a job of ten hours
        outcome = error
    text = jsonl(row(audio, outcome)).encode("utf-8", errors="backslashreplace")
    if isinstance(outcome, Transcript):
        return Line(text, round(outcome.clip.duration_s, 3))
    return Line(text, error=type(outcome).__name__)


def transcribe(transcriber: Transcriber, path: Path, pipeline: Pipeline) -> Transcript:
    """As `Transcriber.transcribe`, but a long recording is never held as a whole."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UnsupportedAudioError(f"{path}: a pipe or a device; a batch reads files")
    held, samples = [np.zeros(0, np.float32)], 0
    with closing(decode_blocks(path, pipeline.limits)) as blocks:
        for block in blocks:
            held.append(block)
            samples += len(block)
            if samples > LONG:
                break
        else:
            return transcriber.transcribe(np.concatenate(held), hotwords=pipeline.hotwords)
    del held
    return transcribe_blocks(transcriber, lambda: decode_blocks(path, pipeline.limits), pipeline.hotwords)


def _end_with_parent() -> None:
    """A killed parent closes nothing in an orderly way, and a long recording would go on for minutes."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
