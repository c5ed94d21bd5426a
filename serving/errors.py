"""Every error that the service raises on purpose. What a client sees of them is in `serving.problems`.

    ServiceError                             status  type                      code
    ├── InvalidParameterError (ValueError)      400  invalid_request_error     invalid_value
    ├── UnauthorizedError (PermissionError)     401  invalid_request_error     invalid_api_key
    ├── ForbiddenError (PermissionError)        403  insufficient_permissions  insufficient_permissions
    ├── NotFoundError (LookupError)             404  invalid_request_error     model_not_found, query_not_found
    ├── SlowUploadError (TimeoutError)          408  invalid_request_error     upload_too_slow
    ├── TooLargeError (ValueError)              413  invalid_request_error     request_too_large
    ├── UnsupportedMediaError (ValueError)      415  invalid_request_error     unsupported_media_type
    ├── UndecodableError (ValueError)           422  invalid_request_error     undecodable_audio
    ├── RateLimitedError (RuntimeError)         429  rate_limit_error          rate_limit_exceeded
    ├── WorkerError (RuntimeError)              500  server_error              internal_error
    └── OverloadedError (RuntimeError)          503  server_error              overloaded

    ExposureError (asr.errors.OptionError)   the server may not be started like this
    KeysFileError (asr.errors.OptionError)   the file of API keys is not usable

The last two are for the operator at the terminal, never for a client: the command line prints them in one line.
A message names the value seen, what was expected, and what to do. It never quotes what somebody said or typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from asr.errors import OptionError

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
NOTHING: Mapping[str, str] = MappingProxyType({})


class ServiceError(Exception):
    """Root. ``param`` names the parameter at fault; ``headers`` are sent along with the status."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = INVALID_REQUEST
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] = NOTHING,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        self.retry_after_s = retry_after_s
        self.headers = headers


class InvalidParameterError(ServiceError, ValueError):
    """A parameter is missing, malformed, out of range, or one that we do not honour."""

    status = 400
    default_code = "invalid_value"


class UnauthorizedError(ServiceError, PermissionError):
    """No API key, or one that is unknown, expired or revoked."""

    status = 401
    default_code = "invalid_api_key"


class ForbiddenError(ServiceError, PermissionError):
    """A good API key without the scope that the route asks for; or a web page of somebody else."""

    status = 403
    type = "insufficient_permissions"
    default_code = "insufficient_permissions"


class NotFoundError(ServiceError, LookupError):
    """What was named is not there, or is not this client's: the two look the same from outside."""

    status = 404
    default_code = "not_found"


class SlowUploadError(ServiceError, TimeoutError):
    """The body came too slowly, or stopped coming."""

    status = 408
    default_code = "upload_too_slow"


class TooLargeError(ServiceError, ValueError):
    """The body, or the clip in it, is over a stated limit."""

    status = 413
    default_code = "request_too_large"


class UnsupportedMediaError(ServiceError, ValueError):
    """The body is of a media type that the route does not read, or is not audio."""

    status = 415
    default_code = "unsupported_media_type"


class UndecodableError(ServiceError, ValueError):
    """The clip looks like audio and cannot be decoded."""

    status = 422
    default_code = "undecodable_audio"


class RateLimitedError(ServiceError, RuntimeError):
    """The key has spent its seconds of audio; after ``retry_after_s`` it has some again."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_after_s: float, headers: Mapping[str, str] = NOTHING) -> None:
        super().__init__(message, retry_after_s=retry_after_s, headers=headers)


class WorkerError(ServiceError, RuntimeError):
    """A worker process was lost. Clients learn no more than that it was our fault."""

    type = SERVER_ERROR


class OverloadedError(ServiceError, RuntimeError):
    """The latency budget cannot be met at the moment; after ``retry_after_s`` it probably can."""

    status = 503
    type = SERVER_ERROR
    default_code = "overloaded"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class ExposureError(OptionError):
    """The server would answer strangers without asking for a key."""


class KeysFileError(OptionError):
    """The file of API keys is no such file, is from a later version, or others may write it."""
