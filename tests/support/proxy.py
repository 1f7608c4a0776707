"""A proxy between a client and a server, which reads the messages that the client sends."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg import conninfo

# After these a client waits for the server, outside a pipeline: Query, Sync, Flush.
TURNS = (b"Q", b"S", b"H")


@dataclass(slots=True)
class Wire:
    """What clients have sent through a proxy."""

    messages: list[tuple[bytes, bytes]] = field(default_factory=list)
    """The type of each message, and its content."""

    def taken(self) -> list[tuple[bytes, bytes]]:
        """Return the messages since the last call."""
        taken, self.messages[:] = self.messages[:], []
        return taken


def round_trips(messages: list[tuple[bytes, bytes]]) -> int:
    """Return how often the client waited for the server."""
    return sum(kind in TURNS for kind, _ in messages)


@contextmanager
def proxy_of(database: str) -> Iterator[tuple[str, Wire]]:
    """Run a proxy before the server of `database`; give the URL that goes through it."""
    parts: dict[str, Any] = dict(conninfo.conninfo_to_dict(database))
    wire = Wire()
    started: threading.Event = threading.Event()
    stops: list[Any] = []

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        connected: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

        # Not a coroutine: one that is cancelled before it begins closes nothing.
        def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_between(reader, writer, parts, wire))
            connected.append((task, writer))

        async with await asyncio.start_unix_server(client, Path(directory) / ".s.PGSQL.5432"):
            started.set()
            await stop.wait()
        for task, _ in connected:
            task.cancel()
        ended = await asyncio.gather(*(task for task, _ in connected), return_exceptions=True)
        for _, writer in connected:
            await _close(writer)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    with tempfile.TemporaryDirectory(prefix="auditdb-", dir="/tmp") as directory:
        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        started.wait()
        login = quote(str(parts["user"])) + (f":{quote(p)}" if (p := parts.get("password")) else "")
        try:
            yield f"postgresql://{login}@/{parts['dbname']}?host={directory}&port=5432", wire
        finally:
            stops[0]()
            thread.join()


async def _between(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    parts: dict[str, Any],
    wire: Wire,
) -> None:
    host, port = str(parts["host"]), int(parts["port"])
    if host.startswith("/"):
        server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    else:
        server = await asyncio.open_connection(host, port)
    back = asyncio.create_task(_copy(server[0], writer))
    try:
        with suppress(ConnectionError):
            await _read(reader, server[1], wire)
    finally:
        await _close(server[1])
        with suppress(ConnectionError):
            await back


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _read(reader: asyncio.StreamReader, server: asyncio.StreamWriter, wire: Wire) -> None:
    """Hand each message on, when it is kept."""
    kind = b""  # the first message has no type
    with suppress(asyncio.IncompleteReadError):
        while True:
            length = await reader.readexactly(4)
            content = await reader.readexactly(int.from_bytes(length) - 4)
            wire.messages.append((kind, content))
            server.write(kind + length + content)
            await server.drain()
            kind = await reader.readexactly(1)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
