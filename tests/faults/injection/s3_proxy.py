"""Faulty S3 server: moto behind a proxy that breaks some requests.

    s3_proxy.py PLAN.json

The plan holds the kinds of faults, a pattern of the requests to break, the share of these to break, the maximum number
of faults, a seed, and the path of a trace that gets a line for each fault. The ports of moto and of the proxy are
printed as JSON. Both servers end at the end of standard input, that is, with the process that started them.
"""

import asyncio
import json
import os
import random
import re
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

END_OF_HEAD = b"\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with a timeout of 0: closing sends RST


class Request(NamedTuple):
    method: str
    path: str
    raw: bytes


class Proxy:
    """Proxy that forwards requests to moto and breaks some of them."""

    def __init__(self, moto: int, plan: dict[str, Any]):
        self.moto, self.plan = moto, plan
        self.random = random.Random(plan["seed"])
        self.left = plan["most"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the single request of a connection."""
        try:
            request = await _read(reader, writer)
            if self._befalls(request):
                kind = self.random.choice(self.plan["kinds"])
                self._note(kind, request)
                await getattr(self, kind)(request, reader, writer)
            else:
                await _send(writer, await self.answer(request))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _befalls(self, request: Request) -> bool:
        share = 1.0 if self.plan["in_a_row"] and self.left < self.plan["most"] else self.plan["share"]
        may = re.search(self.plan["requests"], f"{request.method} {request.path}")
        if not self.left or not may or self.random.random() >= share:
            return False
        self.left -= 1
        return True

    def _note(self, kind: str, request: Request) -> None:
        line = f"{time.monotonic():.4f}\t{os.getpid()}\t{kind}@s3\t{request.method} {request.path}\n"
        with Path(self.plan["trace"]).open("a") as trace:
            trace.write(line)

    async def answer(self, request: Request) -> bytes:
        """Forward a request to moto and return the response."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.moto)
        writer.write(request.raw)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer

    async def slow_down(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _send(writer, _error(503, "SlowDown"))

    async def error_500(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond with 500; in half of the cases, moto has executed the request."""
        if self.random.random() < 0.5:
            await self.answer(request)
        await _send(writer, _error(500, "InternalError"))

    async def reset(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reset the connection before the response; in half of the cases, moto has executed the request."""
        if self.random.random() < 0.5:
            await self.answer(request)
        _reset(writer)

    async def reset_within(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _send(writer, self._piece(await self.answer(request)))
        await asyncio.sleep(0.05)  # a reset at once would discard the data
        _reset(writer)

    async def cut(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Truncate the body without reporting an error."""
        await _send(writer, self._piece(await self.answer(request)))

    async def stall(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stop sending, before the response or within it, until the client closes the connection."""
        if self.random.random() < 0.5:
            await _send(writer, self._piece(await self.answer(request)))
        await reader.read()

    async def lose_upload(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Abort the multipart upload just before it is completed."""
        begun = f"DELETE {request.path} HTTP/1.1\r\nHost: moto\r\nConnection: close\r\n\r\n"
        await self.answer(Request("DELETE", request.path, begun.encode()))
        await _send(writer, await self.answer(request))

    async def full(self, request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond that the storage is full, as AWS or as MinIO does."""
        await _send(writer, self.random.choice([_error(403, "QuotaExceeded"), _error(507, "XMinioStorageFull")]))

    def _piece(self, answer: bytes) -> bytes:
        """Return the headers and a part of the body."""
        head = answer.index(END_OF_HEAD) + len(END_OF_HEAD)
        return answer[: head + int(self.random.random() * (len(answer) - head))]


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    """Read a whole request and rewrite it for moto, which gets a new connection for each request."""
    head = await reader.readuntil(END_OF_HEAD)
    if re.search(rb"(?i)\r\nexpect: *100-continue", head):
        await _send(writer, b"HTTP/1.1 100 Continue\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(length[1]) if length else 0)
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    plain = re.sub(rb"(?i)\r\n(expect|connection):[^\r]*", b"", head[: -len(END_OF_HEAD)])
    return Request(method, path, plain + b"\r\nConnection: close" + END_OF_HEAD + body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        count = int(size.split(b";")[0], 16)
        body += size + await reader.readexactly(count + 2)
        if count == 0:
            return body


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def _error(status: int, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()
    head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


async def main(plan: dict[str, Any]) -> None:
    os.environ["S3_UPLOAD_PART_MIN_SIZE"] = "1"  # permits multipart uploads of small files
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    moto = server.get_host_and_port()[1]
    proxy = await asyncio.start_server(Proxy(moto, plan).serve, "127.0.0.1", 0, limit=1 << 20)
    sys.stdout.write(json.dumps({"moto": moto, "proxy": proxy.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # without waiting for stalled requests


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
