"""``voicesearch serve``: answer over HTTP, WebSocket and Wyoming, with nothing else to start."""

from __future__ import annotations

import os
import signal
import socket
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from asr import bundle, model_name
from asr.commands.command import DONE, Command
from asr.commands.progress import say
from asr.errors import OptionError
from monitoring.errors import MonitoringError
from serving import logs
from serving.app import create_app
from serving.auth import Access
from serving.listening import server
from serving.settings import Settings

# Flags that carry a setting of the same name; what is not given comes from VOICESEARCH_* or the default.
FLAGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("host", {"help": "address to listen on; others than this machine's own want API keys (default 127.0.0.1)"}),
    ("port", {"type": int, "help": "default 8000; 0 takes a free one"}),
    ("wyoming-port", {"type": int, "help": "also answer Home Assistant's protocol here (usually 10300)"}),
    ("model", {"help": f"{model_name.FORMS} (default {bundle.DEFAULT_MODEL})"}),
    ("model-alias", {"dest": "model_aliases", "action": "append", "metavar": "NAME",
                     "help": "another name that clients ask for it by, such as whisper-1; may be repeated"}),
    ("device", {"choices": tuple(bundle.PROVIDERS), "help": "default cpu"}),
    ("workers", {"type": int, "help": "inference processes (default: one a core; of a replica on Ray, one)"}),
    ("catalog", {"dest": "catalogs", "action": "append", "metavar": "NAME|FILE",
                 "help": "what is searched, JSON lines; may be repeated (default: books and cafe)"}),
    ("keys", {"type": Path, "metavar": "FILE", "help": "API keys (voicesearch keys create)"}),
    ("state", {"dest": "state_folder", "type": Path, "metavar": "FOLDER",
               "help": "where the event store is kept (default: voicesearch in the user's state folder)"}),
    ("store", {"metavar": "URL", "help": "event store elsewhere, such as postgresql://..."}),
    ("keep-days", {"type": float, "metavar": "DAYS",
                   "help": "then records, texts, events and outcomes are deleted (default 90; 0: never)"}),
    ("keep-counts-days", {"type": float, "metavar": "DAYS",
                          "help": "then counts, which are nobody's, are deleted (default 400; 0: never)"}),
    ("rules", {"type": Path, "metavar": "FILE", "help": "thresholds of alarms (default: the shipped rules.toml)"}),
    ("alarm-webhook", {"metavar": "URL", "help": "is sent every alarm as JSON"}),
    ("alertmanager", {"metavar": "URL", "help": "Prometheus' Alertmanager, such as http://localhost:9093"}),
    ("latency-budget-ms", {"type": int, "help": "what would take longer is refused at once (default 150)"}),
    ("max-clip-s", {"type": float, "help": "longest clip (default 60)"}),
    ("engine", {"choices": ("local", "ray"),
                "help": "ray: replicas on a Ray cluster, whose nodes have the same voicesearch[serve,ray,postgres]"}),
    ("replicas", {"metavar": "MIN[:MAX]", "help": "on Ray (default 1); several need a PostgreSQL --store"}),
    ("address", {"dest": "ray_address", "metavar": "HOST:PORT",
                 "help": "of the Ray cluster, one of whose nodes this machine is; auto: the one that runs here "
                 "(default: a new one, of this machine alone)"}),
    ("log-format", {"choices": ("auto", "json", "console"), "help": "default: console on a terminal"}),
)  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    """What an operator may choose; the rest is in ``VOICESEARCH_*`` (serving.settings)."""
    for flag, options in FLAGS:
        parser.add_argument(f"--{flag}", default=SUPPRESS, **options)
    parser.add_argument(
        "--insecure", action="store_true", default=SUPPRESS, help="answer strangers without keys"
    )
    parser.add_argument("--no-catalog", action="store_true", help="transcribe only")
    parser.add_argument("--no-state", action="store_true", help="keep nothing when the server ends")


def settings_of(args: Namespace) -> Settings:
    """The settings that flags, environment and defaults come to. Raises OptionError, naming each that is wrong."""
    names = Settings.model_fields.keys()
    chosen = {name: value for name, value in vars(args).items() if name in names}
    if args.no_catalog:
        chosen["catalogs"] = ()
    try:
        settings = Settings(**chosen)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}, not {one['input']!r}" for one in error.errors()
        ]
        raise OptionError("; ".join(wrong)) from error
    if settings.state_folder is None and not args.no_state:
        settings = settings.model_copy(update={"state_folder": state_home()})
    return settings


def state_home() -> Path:
    """``voicesearch`` in ``$XDG_STATE_HOME`` or ``~/.local/state`` (XDG base directory specification)."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "voicesearch"


def run(args: Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_of(args)
    logs.configure(level=settings.log_level, form=settings.log_format)
    if settings.engine == "ray":
        return _run_on_ray(settings, keeps=not args.no_state)
    _check_local(settings)
    app = create_app(settings)
    listener = _listen(settings)
    running = server(app, settings, on_ready=_announce)
    # uvicorn raises the signal again when it has shut down: a stop that was asked for is no failure.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        running.run(sockets=[listener])
    except SystemExit:  # uvicorn's way to say that the app could not start
        failure = getattr(app.state, "failure", None)
        if isinstance(failure, MonitoringError):
            raise OptionError(str(failure)) from failure
        if failure is not None:
            raise failure from None
        raise
    return DONE


def _run_on_ray(settings: Settings, *, keeps: bool) -> int:
    from serving import ray_serving  # of the extra ``ray``

    ray_serving.check(settings, keeps=keeps)
    Access.decide(settings.keys, settings.host, settings.insecure)  # here it is one clear line
    if "workers" not in settings.model_fields_set:
        # Of each replica; replicas are what there can be more of.
        settings = settings.model_copy(update={"workers": 1})
    if settings.ray_address is None:  # as is a port that is taken
        settings = settings.model_copy(update={"port": _free_port(settings)})
    ray_serving.run(settings, _announce, _free_port)
    return DONE


def _check_local(settings: Settings) -> None:
    """Raise OptionError for what is meant for a cluster, which would be ignored."""
    for flag, name in (("--replicas", "replicas"), ("--address", "ray_address")):
        if name in settings.model_fields_set and getattr(settings, name) is not None:
            raise OptionError(f"{flag} {getattr(settings, name)} is of a Ray cluster: add --engine ray")


def _free_port(settings: Settings) -> int:
    """The port to listen on, which nobody does yet. Raises OptionError."""
    with _listen(settings) as listener:
        port: int = listener.getsockname()[1]
    return port


def _listen(settings: Settings) -> socket.socket:
    """The listening socket, so that a taken port is one clear line and port 0 is known before it is announced."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise OptionError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
            "Is a server running there already? Choose another with --port"
        ) from error


def _announce(host: str, port: int, model: str) -> None:
    """For people; programs ask /readyz."""
    structlog.get_logger().info("ready", host=host, port=port, model=model)
    if sys.stderr.isatty():
        shown = "localhost" if host in ("127.0.0.1", "::1") else host
        say(f"Speak to it: http://{shown}:{port}/   Its API: http://{shown}:{port}/docs   Stop it: Ctrl+C")


COMMAND = Command("serve", "answer over HTTP, WebSocket and Wyoming", add_arguments, run)
