"""FFmpeg in a process of its own: it may crash, hang, or ask for all memory, and takes one clip with it, no more.

It is the largest parser of untrusted bytes here, written in C, and no thread of Python can be stopped from outside.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Lock, Timer

from asr.audio import AudioLimits, Samples
from asr.errors import AsrError, CorruptAudioError
from serving import containers
from serving.errors import OverloadedError

TIMEOUT_S = 15.0  # an hour of AAC takes about ten seconds; a start about one
MEMORY_BYTES = 1 << 30  # beyond what the process has when it starts
STATISTICS = Path("/proc/self/statm")  # Linux; its first number is the address space, in pages


class Sandbox:
    """The process, started when it is first needed and again when it was lost. Threads take turns."""

    def __init__(self, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> None:
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        # Not fork: threads of this process may hold locks that a child would wait for in vain.
        self._context = multiprocessing.get_context("spawn")
        self._turn = Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    def decode(self, content: bytes, limits: AudioLimits) -> Samples:
        """As `serving.containers.decode`, and CorruptAudioError for a clip that does the process harm.

        Raises OverloadedError once the sandbox is closed.
        """
        with self._turn:
            connection = self._connection or self._start()
            if (
                self._closed
            ):  # read after the process is there: either `close` sees that, or this sees `close`
                self._stop()
                raise OverloadedError("The server is stopping; ask another one.", self._timeout_s)
            answer = self._answer(connection, (content, limits))
            if isinstance(answer, AsrError):
                raise answer
            if answer is not None:
                return answer
        raise CorruptAudioError(
            f"clip of {len(content)} bytes: FFmpeg failed at it, or took longer than {self._timeout_s:g} s; "
            "convert it: ffmpeg -i FILE -ar 16000 clip.wav"
        )

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process, even at a clip; that one fails. Blocks for a moment: not for the event loop."""
        self._closed = True
        self._kill()  # without the turn, which may be taken for as long as a clip may take
        with self._turn:
            self._stop()

    def _answer(self, connection: Connection, asked: tuple[bytes, AudioLimits]) -> Samples | AsrError | None:
        """The answer of the process, or None where it was lost or took too long; then it has been stopped.

        Only its death is sure to end a `Connection.send` of many bytes or a `Connection.recv`: neither has a timeout.
        """
        late = Event()

        def end() -> None:
            late.set()
            self._kill()

        watchdog = Timer(self._timeout_s, end)
        watchdog.start()
        answer: Samples | AsrError | None = None
        try:
            connection.send(asked)
            answer = connection.recv()
        except (EOFError, OSError):
            late.set()
        finally:
            watchdog.cancel()
            watchdog.join()  # or it might kill the process at the next clip
        if late.is_set():
            self._stop()
        return answer

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            with suppress(ValueError):  # closed by another thread at this moment
                process.kill()

    def _start(self) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._memory_bytes), daemon=True)
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        return ours

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()  # it has nothing to lose
            self._process.join()
            self._process.close()
        self._process = self._connection = None


def _serve(connection: Connection, memory_bytes: int) -> None:
    """Body of the process: one answer for each clip, until the server hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when to stop
    if STATISTICS.exists():
        most = int(STATISTICS.read_text().split()[0]) * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with suppress(EOFError, OSError):  # the server is gone
        while True:
            connection.send(_decoded(*connection.recv()))


def _decoded(content: bytes, limits: AudioLimits) -> Samples | AsrError:
    try:
        return containers.decode(content, limits)
    except AsrError as error:
        return error
    except (MemoryError, ValueError, OverflowError) as error:  # what PyAV and numpy make of headers that lie
        return CorruptAudioError(f"clip of {len(content)} bytes: cannot be decoded ({type(error).__name__})")
