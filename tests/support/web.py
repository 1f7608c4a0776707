"""What tests of the middleware share: real servers on ports of their own, and rows of the log."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import WSGIApplication

import psycopg
import uvicorn
from werkzeug.serving import WSGIRequestHandler, make_server

from auditdb.asgi import App, Message, Scope
from tests.support.helpers import LogRow, new_log

WAIT = 30
"""Seconds after which what a test waits for counts as never."""


@contextmanager
def uvicorn_serving(app: App, *, unix_socket: str | None = None) -> Iterator[str]:
    """Serve with uvicorn in a thread; give the URL. Requests wait until it has started."""
    with contextlib.ExitStack() as cleanup:
        if unix_socket is None:
            listener = cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        else:
            listener = cleanup.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(unix_socket)
            listener.listen()
            url = "http://unix"
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="on" if hasattr(app, "router") else "auto",
            proxy_headers=False,
            log_config=None,
        )
        server = uvicorn.Server(config)
        with _thread(lambda: server.run(sockets=[listener]), lambda: _exit(server)):
            yield url


def _exit(server: uvicorn.Server) -> None:
    server.should_exit = True


@contextmanager
def werkzeug_serving(app: WSGIApplication, *, threaded: bool = True) -> Iterator[str]:
    """Serve with Werkzeug in a thread, each request in one more unless not `threaded`."""
    server = make_server("127.0.0.1", 0, app, threaded=threaded, request_handler=_Quiet)
    with contextlib.closing(server.socket), _thread(server.serve_forever, server.shutdown):
        yield f"http://127.0.0.1:{server.port}"


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request; connections stay open, as with any real server."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (Werkzeug's name)
        pass


@contextmanager
def _thread(run: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(WAIT)
    assert not thread.is_alive()


async def call(app: App, scope: Scope, received: list[Message] | None = None) -> list[Message]:
    """Call an application as a server does; return what it sent."""
    sent: list[Message] = []
    messages = iter(received or [])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    basics: Scope = {
        "path": "/",
        "headers": [(b"x-user", b"7")],
        "client": ["192.0.2.7", 1],
        "query_string": b"",
    }
    await app({**basics, **scope}, receive, send)
    return sent


def notes(database: str) -> dict[str, LogRow]:
    """Return the only row of the log of each note, by the id of the note."""
    with psycopg.connect(database) as connection:
        rows = [row for row in new_log(connection) if row.item_type == "note"]
    found = {row.item_id: row for row in rows}
    assert len(found) == len(rows)
    return found
