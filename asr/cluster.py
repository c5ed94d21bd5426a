"""A Ray cluster joined, or one of this machine alone started: what ``batch`` and ``serve --engine ray`` have in common.

Ray is the extra ``ray`` and imported by `require` alone: a device has neither it nor the time.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
from typing import Any

from asr.errors import MissingPackageError, OptionError

AUTO = "auto"  # the cluster that has a node on this machine
ANSWER_S = 5.0
AUTH_MODE = "RAY_AUTH_MODE"
INLINE = ("max_direct_call_object_size", "task_rpc_inlined_bytes_limit")  # of one argument, of all of a call
STORE_BYTES = 100 << 20  # of a cluster of our own: what passes through is small


def require(part: str) -> Any:
    """The package ``ray`` with ``ray.PART``: data or serve. Raises MissingPackageError."""
    try:
        importlib.import_module(f"ray.{part}")
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingPackageError(
            f"--engine ray needs Ray ({error}): pip install 'voicesearch[ray]'"
        ) from error


def join(ray: Any, address: str | None, cpus: int, inline_bytes: int | None = None) -> None:
    """Join the cluster at ``address`` (``HOST:PORT`` or ``auto``), or start one of this machine with so many places.

    ``ray`` is what `require` gave. Quiet: no usage statistics, no dashboard, no lines of Ray's own on the terminal.
    Leave it with ``ray.shutdown()``. Raises OptionError where none answers, or asks for another token.

    A cluster of our own listens on every interface of the machine, which Ray offers no way out of, and runs what it
    is sent: it must ask for a token. Up to ``inline_bytes`` an argument of a call goes there through memory alone; a
    larger one lies in the object store, which Ray writes to the disk as it fills (by default: 100 KiB).
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read by the processes that it starts
    # A process without a GPU of its own is not told so by Ray: it will ask for none.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            check_token()
            inline = dict.fromkeys(INLINE, inline_bytes) if inline_bytes else {}
            ray.init(
                "local",
                num_cpus=cpus,
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                _system_config=inline,
                **quiet,
            )
        else:
            check_answers(address)
            ray.init(address, **quiet)
    except ray.exceptions.AuthenticationError as error:
        raise OptionError(
            f"the Ray cluster at {address or 'this machine'} refuses our token: every machine of a cluster needs the "
            "same ~/.ray/auth_token (or RAY_AUTH_TOKEN_PATH), and RAY_AUTH_MODE=token"
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(f"no Ray cluster at {address or 'this machine'}: {first_line(error)}") from error


def check_token() -> None:
    """Raise OptionError where Ray was told to ask for none; untold, it makes one (``~/.ray/auth_token``)."""
    mode = os.environ.get(AUTH_MODE, "token")
    if mode.lower() != "token":
        raise OptionError(
            f"{AUTH_MODE}={mode}: a Ray of our own would run what anybody sends who can reach this machine. Unset it, "
            "or start a cluster with ray start --head and name it with --address"
        )


def check_answers(address: str) -> None:
    """Ray itself waits half a minute for a host that is not there. Raises OptionError."""
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise OptionError(
            f"Ray address {address!r}: expected HOST:PORT of a cluster that this machine is a node of, or {AUTO}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise OptionError(
            f"no Ray cluster answers at {address} ({error}): start one with ray start --head --port {port}, and "
            "run this on one of its nodes"
        ) from error


def first_line(error: BaseException) -> str:
    """Of its message: Ray's have dozens."""
    return str(error).strip().partition("\n")[0]
