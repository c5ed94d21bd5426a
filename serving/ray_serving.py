"""``voicesearch serve --engine ray``: the app as replicas on a Ray cluster, from deployment to the last answer.

Two applications of Ray Serve share one port: at ``/`` the door (`serving.ray_door`), which puts requests to replicas;
at ``/v1/stream`` the replicas (`serving.ray_replica`) themselves, for a WebSocket stays with one.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from asr import bundle
from asr.cluster import first_line, join, require
from asr.commands.progress import say
from asr.errors import OptionError
from monitoring.storage.database import parse_url
from serving.ray_door import Door
from serving.ray_replica import Replica
from serving.settings import Settings

STREAMS, DOOR = "voicesearch-streams", "voicesearch"  # applications; the first holds the replicas
STREAM_PATH = "/v1/stream"
DOORS = 2
QUEUED = 256  # requests at once, of a replica: it refuses by itself what it cannot answer in time
BUSY = 2  # requests at once for each worker: from there on another replica is worth its start
CLOSING_S = 5.0  # from the last answer to the end of the processes


def check(settings: Settings, *, keeps: bool) -> None:
    """Raise OptionError for what several replicas cannot do; ``keeps``: there is to be a store."""
    if settings.wyoming_port is not None:
        raise OptionError("--wyoming-port is for one server: on a cluster, run voicesearch serve beside it")
    postgres = settings.store is not None and parse_url(settings.store).get_backend_name() == "postgresql"
    if settings.replicas.most > 1 and keeps and not postgres:
        raise OptionError(
            f"{settings.replicas} replicas need one store that all of them reach: --store postgresql://..., or "
            "--no-state to keep nothing (events about another replica's answers are then refused)"
        )


def run(settings: Settings, on_ready: Callable[[str, int, str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was accepted. Raises OptionError and BundleError."""
    identity = bundle.read(bundle.find(settings.model)).identity
    # Of a cluster of our own: a proxy that imports for longer on a busy machine would be killed for it, three times.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    ray = require("serve")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    join(ray, settings.ray_address, settings.workers * settings.replicas.most)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        deploy(settings)
        on_ready(settings.host, settings.port, identity)
        stop.wait()
        say("stopping: what was accepted is finished")
    finally:
        for name in (DOOR, STREAMS):  # from the outside in
            ray.serve.delete(name)
        if not ray.serve.status().applications:
            ray.serve.shutdown()
        ray.shutdown()


def deploy(settings: Settings) -> None:
    """Start the replicas and the doors, and wait until all answer. Raises OptionError."""
    serve = require("serve").serve
    quiet = {"log_level": "WARNING", "enable_access_log": False}  # the app has a log of its own
    serve.start(
        proxy_location="EveryNode",
        http_options={"host": settings.host, "port": settings.port},
        logging_config=quiet,
    )
    replicas = _replicas(settings).bind(settings)
    try:
        serve.run(replicas, name=STREAMS, route_prefix=STREAM_PATH, logging_config=quiet)
        handle = serve.get_deployment_handle(Replica.__name__, STREAMS)
        door = serve.deployment(
            serve.ingress(None)(Door),
            name=Door.__name__,
            num_replicas=DOORS,
            max_ongoing_requests=4 * QUEUED,
            ray_actor_options={"num_cpus": 0},
        )
        serve.run(door.bind(settings, handle), name=DOOR, route_prefix="/", logging_config=quiet)
    except RuntimeError as error:
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
