"""Errors of the service; the security branch brings the whole tree."""

from __future__ import annotations


class OverloadedError(Exception):
    """503: the latency budget cannot be met."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class WorkerError(Exception):
    """500: a worker process was lost."""


def status_of(error: BaseException) -> int:
    """HTTP status of an error."""
    return 503 if isinstance(error, OverloadedError) else 500
