"""The load generator tells what was refused from what was accepted and then dropped."""

from __future__ import annotations

import asyncio

import pytest

from serving.load import DROPPED, REFUSED, Load

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def statuses(answers: list[list[bytes]]) -> list[int]:
    """What two requests in turn get, from a server with these answers: of each connection, to each of its requests.

    It closes a connection after its last answer, at the request that has none; and listens no more after the last.
    """

    async def ask() -> list[int]:
        left = iter(answers)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for answer in next(left, []):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                if answer != ANSWER:
                    break
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        load = Load("127.0.0.1", server.sockets[0].getsockname()[1], [REQUEST])
        if not answers:
            server.close()
        found = [(await load._ask(REQUEST, 0.0, 0.0)).status for _ in range(2)]
        await load._hang_up()
        server.close()
        return found

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([[ANSWER, ANSWER]], [200, 200]),
        ([], [REFUSED, REFUSED]),
        ([[b""], [ANSWER]], [DROPPED, 200]),  # a new connection, closed at its request
        ([[ANSWER[:9]], [ANSWER]], [DROPPED, 200]),  # in the head
        ([[ANSWER[:-2]], [ANSWER]], [DROPPED, 200]),  # before the body
        ([[ANSWER[:-1]], [ANSWER]], [DROPPED, 200]),  # in the body
        ([[ANSWER, b""], [ANSWER]], [200, 200]),  # a kept one without a byte: asked again over a new one
        ([[ANSWER, b""], [b""]], [200, DROPPED]),  # and that is closed, too
        ([[ANSWER, ANSWER[:9]], [ANSWER]], [200, DROPPED]),  # a kept one in the middle of an answer
    ],
)
def test_what_was_sent_and_not_answered_is_told_from_what_was_refused(
    answers: list[list[bytes]], expected: list[int]
) -> None:
    """Only a kept connection that is closed without a byte of answer is worth another try."""
    assert statuses(answers) == expected
