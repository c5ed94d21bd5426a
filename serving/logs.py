"""Logs, in which nothing that somebody said can stand: one JSON object a line, on stderr.

    log = structlog.get_logger()
    log.info("request", route="/v1/search", status=200)

`serving.log_fields` says what may be logged. Of an exception the types and the places are kept, never messages or
variables: messages quote what they choke on. Of other libraries' loggers the level and the place are kept, and the
message where it is listed, too. `configure` is called once, where the program is composed.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from typing import Any, Literal, TextIO, TypeAlias

import structlog
from structlog.typing import EventDict, WrappedLogger

from serving.log_fields import EVENTS, OTHER, AllowList, place

Format: TypeAlias = Literal["json", "console", "auto"]

FRAMES = 30  # the innermost ones of a long traceback
EXTRA = frozenset(
    {"alarm", "severity", "phase", "actor", "count", "error", "step"}
)  # fields of `monitoring`'s lines
LEVELS = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))


def without_messages(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Processor: ``exc_info`` becomes ``error`` (type), ``causes`` (types) and ``frames``, the innermost last."""
    given = line.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        line["frames"] = places(error)
        if causes := [type(cause).__name__ for cause in _causes(error)]:
            line["causes"] = causes
    return line


def places(error: BaseException) -> list[str]:
    """``folder/file.py:line function`` of each frame that ``error`` came through, the innermost last."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return [f"{place(code.co_filename)}:{line} {code.co_name}" for code, line in frames[-FRAMES:]]


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    pending = [error]
    while pending and len(found) < FRAMES:
        at = pending.pop(0)
        inner = list(at.exceptions) if isinstance(at, BaseExceptionGroup) else []
        cause = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
        for one in [*inner, *([] if cause is None else [cause])]:
            if one is not error and one not in found:
                found.append(one)
                pending.append(one)
    return found


class _Foreign(logging.Handler):
    """Takes the records of stdlib loggers: the level, the place, the message if it is a listed one, and some fields."""

    def emit(self, record: logging.LogRecord) -> None:
        listed = isinstance(record.msg, str) and record.msg in EVENTS
        level = next(name for number, name in LEVELS if record.levelno >= number)
        getattr(structlog.get_logger(), level)(
            record.msg if listed else OTHER,  # never getMessage(): arguments are values
            logger=record.name,
            where=f"{place(record.pathname)}:{record.lineno}",
            exc_info=record.exc_info,
            **{name: value for name, value in vars(record).items() if name in EXTRA},
        )


class _Lines:
    """Writes finished lines. A stream that has gone (a closed pipe, a full disk) must not end a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """One line, whole, whichever threads write at once."""
        with self._lock, contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def configure(stream: TextIO | None = None, level: str = "info", form: Format = "auto") -> AllowList:
    """Write all logs to ``stream`` (stderr) from ``level`` on: JSON, or for people where ``auto`` finds a terminal.

    The allow-list is returned for its count of what it kept out. Run uvicorn with ``log_config=None`` and
    ``access_log=False``, or it puts its own handlers back.
    """
    stream = sys.stderr if stream is None else stream
    for_people = form == "console" or (form == "auto" and stream.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    allow_list = AllowList()
    lines = _Lines(stream)
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if for_people
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            without_messages,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow_list,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Foreign()], level=number, force=True)
    logging.captureWarnings(True)
    # Raw paths, and query strings: `serving.access_log` has route templates instead.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    # Python's own hooks print messages and, of threads, what they ran.
    sys.excepthook = lambda _kind, error, _trace: _uncaught(error)
    threading.excepthook = lambda failed: _uncaught(failed.exc_value)
    sys.unraisablehook = lambda failed: _uncaught(failed.exc_value)
    return allow_list


def _uncaught(error: BaseException | None) -> None:
    if not isinstance(error, KeyboardInterrupt | SystemExit):
        structlog.get_logger().critical("uncaught", exc_info=error)
