"""A web server that breaks off, changes its mind and lies, as it is told to; over TLS where it is asked to."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes: several reads

Reply = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Plays one reply a request, the last one for all further ones; keeps the headers that it was sent."""

    daemon_threads = True

    def __init__(self, *replies: Reply, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if certificate is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.replies = list(replies)
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Of the file."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/model.zip"

    def ranges(self) -> list[str | None]:
        """What each request wanted."""
        return [headers.get("Range") for headers in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Hands a request to the next reply."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        replies = self.server.replies
        (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""

    def reset(self) -> None:
        """Break the connection as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def whole(content: bytes = CONTENT, *, upto: int | None = None, **headers: str) -> Reply:
    """All of it with 200, or its beginning, then a broken connection."""

    def reply(handler: Handler) -> None:
        handler.send_response(200)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in ({"Content-Length": str(len(content))} | given).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content[:upto])

    return reply


def rest(content: bytes = CONTENT, *, upto: int | None = None, **headers: str) -> Reply:
    """What the request's range asks for, with 206; or less."""

    def reply(handler: Handler) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        handler.send_response(206)
        defaults = {
            "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}",
            "Content-Length": str(len(content) - start),
        }
        for name, value in (defaults | {k.replace("_", "-"): v for k, v in headers.items()}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content[start:upto])

    return reply


def status(code: int, **headers: str) -> Reply:
    """No content."""

    def reply(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Callable[..., Server]]:
    """Makes servers, which end with the block: ``make(*replies)``, ``make(*replies, tls=True)``."""
    servers: list[Server] = []

    def make(*replies: Reply, tls: bool = False) -> Server:
        server = Server(*replies, certificate=certificate if tls else None)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    try:
        yield make
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def certify(folder: Path) -> Path:
    """A key and a certificate of 127.0.0.1 that it signs, in one file: to serve with, and to be believed."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
