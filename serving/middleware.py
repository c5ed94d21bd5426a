"""Everything that stands around the routes, in the one order in which it works.

From the outside in: headers and request id (so that every answer has them), CORS, the grace for refused bodies, one
log line a request, the guard of servers without keys, and, last before the routes, what turns exceptions into
answers (so that all of the above see an answer).
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from monitoring.metrics import Metrics
from serving import auth, headers, problems
from serving.access_log import AccessLogMiddleware
from serving.exposition import MeasuringMiddleware
from serving.linger import LingerMiddleware


def install(app: FastAPI, access: auth.Access, metrics: Metrics, origins: Sequence[str] = ()) -> None:
    """Put it around ``app``, and have ``require`` ask ``access``. ``origins`` are web sites that may call (CORS)."""
    allowed = headers.check_origins(origins)
    problems.install(app)  # each one added wraps those before
    auth.install(app, access, allowed)
    app.add_middleware(AccessLogMiddleware)
    app.add_middleware(MeasuringMiddleware, metrics=metrics)
    app.add_middleware(LingerMiddleware)
    headers.install(app, allowed)
