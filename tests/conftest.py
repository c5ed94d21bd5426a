"""In CI nothing is skipped for want of a tool: a skip whose reason begins with "needs " is a failure there.

Everywhere else such a test skips, so the suite passes on a machine without flite, espeak-ng or ffmpeg.
Fixtures that several files share: the transcriber, and running servers (``serving_app.py``).
"""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from asr.bundle import available
from asr.transcribe import Transcriber

if TYPE_CHECKING:  # it needs the extra ``serve``, which most tests do without
    from serving_app import Running

# A test is never timed: a busy machine is no failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Where flashlight-text has no wheel, the fallback is what there is to test, and its warning no error."""
    if importlib.util.find_spec("flashlight") is None:
        config.addinivalue_line("filterwarnings", "ignore:decoding without a language model:RuntimeWarning")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """For a skipped test."""
    report = yield
    _fail_where_a_tool_is_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """For a module skipped as a whole (``pytest.importorskip``)."""
    report = yield
    _fail_where_a_tool_is_missing(report)
    return report


def _fail_where_a_tool_is_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped or hasattr(report, "wasxfail") or not os.environ.get("CI"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if reason.removeprefix("Skipped: ").startswith("needs "):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: in CI nothing may skip for want of a tool; {reason}"


@pytest.fixture(scope="session")
def transcriber() -> Transcriber:
    """The shipped model, as everyone loads it: no path, no options, no network."""
    # Without its wheel the weaker fallback decodes, whose words no test promises.
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    if "en-small" not in available():
        pytest.skip("needs the bundle en-small")
    return Transcriber.load()


def _running(**settings: Any) -> Any:
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    from serving_app import running

    return running(**settings)


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A server of the shipped model, without keys, for the whole session: leave it as it was."""
    with _running() as serving:
        yield serving


@pytest.fixture
def start_server() -> Iterator[Callable[..., Running]]:
    """Starts servers of a test's own: ``start_server(max_clip_s=2.0)``. Each takes about two seconds."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(_running(**settings))


@pytest.fixture
def serve() -> Generator[Callable[..., str], None, None]:
    """Runs an ASGI app on a free loopback port, in a thread, until the test ends: ``serve(app) -> address``."""
    import uvicorn

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: object, **options: object) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        # log_config=None: uvicorn's own would change the loggers of every test after this one.
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, **options)  # type: ignore[arg-type]  # any ASGI app
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive(), "the server ended before it had started"
            time.sleep(0.01)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join()
