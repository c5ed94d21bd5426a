"""``voicesearch serve``: the service, on this machine, with nothing else to start."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from asr.commands.command import DONE, Command
from serving.app import create_app
from serving.listening import server
from serving.settings import Settings


def add_arguments(parser: ArgumentParser) -> None:
    """What an operator may choose; the rest is in ``VOICESEARCH_*`` (serving.settings)."""
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="default 8000")
    parser.add_argument(
        "--wyoming-port", type=int, help="answer Home Assistant there too (10300 is usual; default: do not)"
    )
    parser.add_argument("--workers", type=int, help="inference processes (default: one a core)")


def run(args: Namespace) -> int:
    """Serve until told to stop."""
    names = ("host", "port", "wyoming_port", "workers")
    chosen = {name: value for name in names if (value := getattr(args, name)) is not None}
    settings = Settings(**chosen)
    server(create_app(settings), settings).run()
    return DONE


COMMAND = Command("serve", "answer over HTTP, WebSocket and Wyoming", add_arguments, run)
