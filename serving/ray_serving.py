"""``voicesearch serve --engine ray``: the app as replicas on a Ray cluster, from deployment to the last answer.

Two applications of Ray Serve share one port: at ``/`` the door (`serving.ray_door`), which puts requests to replicas;
at ``/v1/stream`` the replicas (`serving.ray_replica`) themselves, for a WebSocket stays with one.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any

from asr import bundle, model_name
from asr.cluster import first_line, join, require
from asr.commands.progress import say
from asr.errors import OptionError
from monitoring.storage.database import parse_url
from serving import catalogs
from serving.ray_door import Door
from serving.ray_replica import Replica
from serving.ray_request import largest_body
from serving.settings import Settings

STREAMS, DOOR = "voicesearch-streams", "voicesearch"  # applications; the first holds the replicas
STREAM_PATH = "/v1/stream"
DOORS = 2
QUEUED = 256  # requests at once, of a replica: it refuses by itself what it cannot answer in time
BUSY = 2  # requests at once for each worker: from there on another replica is worth its start
CLOSING_S = 5.0  # from the last answer to the end of the processes
ENVELOPE_BYTES = 1 << 20  # of a request besides its body, pickled
QUIET = {"log_level": "WARNING", "enable_access_log": False}  # the app has a log of its own


def check(settings: Settings, *, keeps: bool) -> None:
    """Raise OptionError for what several replicas cannot do; ``keeps``: there is to be a store."""
    if settings.wyoming_port is not None:
        raise OptionError("--wyoming-port is for one server: on a cluster, run voicesearch serve beside it")
    postgres = settings.store is not None and parse_url(settings.store).get_backend_name() == "postgresql"
    if settings.replicas.most > 1 and keeps and not postgres:
        raise OptionError(
            f"{settings.replicas} replicas need one store that all of them reach: --store postgresql://..., or "
            "--no-state to keep nothing (events about another replica's answers are then refused, and no alarm is "
            "judged)"
        )


def for_replicas(settings: Settings) -> Settings:
    """The settings as other processes need them: paths from the root, for they work in folders of their own.

    Names of models and of shipped catalogues stay names: each node has them where it installed them. Raises BundleError
    and OptionError for what is not there.
    """
    changes: dict[str, Any] = {
        name: path.resolve()
        for name in ("keys", "state_folder", "rules")
        if (path := getattr(settings, name))
    }
    changes["catalogs"] = tuple(
        name if name in catalogs.names() else str(catalogs.find(name).path.resolve())
        for name in settings.catalogs
    )
    if settings.model not in bundle.available():
        changes["model"] = str(model_name.resolved(settings.model))
    if settings.replicas.most > 1 and settings.store is None:
        changes["watch"] = False  # each would judge its own part of the traffic, and tell the webhook of it
    return settings.model_copy(update=changes)


def run(
    settings: Settings, on_ready: Callable[[str, int, str], None], free_port: Callable[[Settings], int]
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was accepted. Raises OptionError and BundleError.

    ``free_port`` is asked for the port where no Ray Serve listens yet, and may refuse.
    """
    settings = for_replicas(settings)
    identity = model_name.describe(settings.model).identity
    # Of a cluster of our own: a proxy that imports for longer on a busy machine would be killed for it, three times.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    ray = require("serve")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    join(
        ray,
        settings.ray_address,
        settings.workers * settings.replicas.most,
        inline_bytes=largest_body(settings) + ENVELOPE_BYTES,
    )
    try:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: stop.set())
        with deployed(settings, free_port) as port:
            on_ready(settings.host, port, identity)
            stop.wait()
            say("stopping: what was accepted is finished")
    finally:
        ray.shutdown()


@contextmanager
def deployed(settings: Settings, free_port: Callable[[Settings], int]) -> Iterator[int]:
    """Replicas and doors from when all answer to the end; the port. Takes away what it has put there, nothing else.

    Raises OptionError where Ray Serve runs already with another address or with a voicesearch, and for replicas that
    cannot start.
    """
    serve = require("serve").serve
    running = _running()
    if running is not None:
        check_shared(settings, running, serve.status().applications)
        port = settings.port
    else:
        port = free_port(settings)
        serve.start(
            proxy_location="EveryNode",
            http_options={"host": settings.host, "port": port},
            logging_config=QUIET,
        )
    ours: list[str] = []
    try:
        _deploy(settings.model_copy(update={"port": port}), ours)
        yield port
    finally:
        for name in reversed(ours):  # from the outside in
            serve.delete(name)
        if running is None and not serve.status().applications:
            serve.shutdown()


def check_shared(settings: Settings, running: Any, applications: Container[str]) -> None:
    """Raise OptionError unless a Ray Serve that runs already listens where we were told to, without our applications.

    ``running`` is its HTTPOptions. Where it listens cannot be changed, and decides who can reach us: what was judged of
    ``settings.host`` (`serving.auth.Access`) must be true of it.
    """
    if (running.host, running.port) != (settings.host, settings.port):
        raise OptionError(
            f"Ray Serve runs on this cluster already and listens on {running.host} port {running.port}, not on "
            f"{settings.host} port {settings.port}: say --host {running.host} --port {running.port}, or stop it with "
            "serve shutdown"
        )
    for name in (STREAMS, DOOR):
        if name in applications:
            raise OptionError(
                f"this cluster serves a {name} already: a second one would take its place. Stop the first, or "
                "choose another cluster"
            )


def _running() -> Any:
    """The HTTPOptions of the Ray Serve that runs on the cluster, or None."""
    # Nothing public tells them: serve.status() does not, and serve.start() only logs that its own are ignored.
    from ray.serve.context import _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    return None if client is None else client.http_config


def _deploy(settings: Settings, ours: list[str]) -> None:
    """Start the replicas and the doors, and wait until all answer; ``ours`` gets the names of what was begun."""
    serve = require("serve").serve
    replicas = _replicas(settings).bind(settings)
    try:
        ours.append(STREAMS)
        serve.run(replicas, name=STREAMS, route_prefix=STREAM_PATH, logging_config=QUIET)
        handle = serve.get_deployment_handle(Replica.__name__, STREAMS)
        door = serve.deployment(
            serve.ingress(None)(Door),
            name=Door.__name__,
            num_replicas=DOORS,
            max_ongoing_requests=4 * QUEUED,
            ray_actor_options={"num_cpus": 0},
        )
        ours.append(DOOR)
        serve.run(door.bind(settings, handle), name=DOOR, route_prefix="/", logging_config=QUIET)
    except (RuntimeError, serve.exceptions.RayServeException) as error:
        raise OptionError(f"the replicas could not start: {_why(serve) or first_line(error)}") from error


def _replicas(settings: Settings) -> Any:
    """The deployment of `Replica`."""
    serve = require("serve").serve
    replicas, gpu = settings.replicas, settings.device != "cpu"
    size: dict[str, Any] = {"num_replicas": replicas.least}
    if replicas.most > replicas.least:
        size = {
            "autoscaling_config": {
                "min_replicas": replicas.least,
                "max_replicas": replicas.most,
                "target_ongoing_requests": BUSY * settings.workers,
            }
        }
    return serve.deployment(
        serve.ingress(None)(Replica),
        name=Replica.__name__,
        max_ongoing_requests=QUEUED + settings.max_streams,
        ray_actor_options={"num_cpus": settings.workers, "num_gpus": int(gpu)},
        graceful_shutdown_timeout_s=settings.drain_s + CLOSING_S,
        health_check_period_s=2.0,
        **size,
    )


def _why(serve: Any) -> str:
    """What Ray Serve says of a deployment that failed: the last line of the traceback that it quotes."""
    for application in serve.status().applications.values():
        for deployment in application.deployments.values():
            if deployment.message:
                return str(deployment.message).strip().splitlines()[-1]
    return ""
