"""The middleware for ASGI: by whom rows are written in FastAPI and Starlette, and what is left."""

import asyncio
import re
import socket
import threading
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import Actor, actor, current_actor
from auditdb.asgi import ActorMiddleware, Message, Scope
from tests.support.actors import (
    INSERT,
    INSERT_PSYCOPG,
    NOBODY,
    async_engine_of,
    create_notes,
    engine_of,
)
from tests.support.web import WAIT, call, notes, uvicorn_serving

GENERATED = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    yield
    assert current_actor() is None


def who(scope: Scope) -> Actor | None:
    name = HTTPConnection(scope).headers.get("x-user")
    return Actor("platform_user", name, label=f"{name}@x.example") if name else None


def user(name: object) -> dict[str, str]:
    return {"x-user": str(name), "user-agent": "tests/1"}


def current_id() -> str | None:
    found = current_actor()
    return found.id if found else None


async def sync_key() -> AsyncIterator[None]:
    async with actor("api_key", "k1", reason="sync"):
        yield


def threaded_key() -> Iterator[None]:
    with actor("api_key", "k1"):
        yield


# FastAPI, through a real server.


class Application:
    """A FastAPI application that writes notes, each in a transaction of its own.

    Its pools have one connection each: whatever stayed there would be found by the next request.
    """

    def __init__(self, database: str, size: int = 1) -> None:
        self.sync_engine = instrument(engine_of(database, pool_size=size, max_overflow=0))
        self.engine = instrument(async_engine_of(database, pool_size=size, max_overflow=0))
        self.pool = instrument(AsyncConnectionPool(database, min_size=1, max_size=size, open=False))
        self.disconnected = threading.Event()
        self.app = FastAPI(lifespan=self.lifespan)
        self.app.add_api_route("/known", self.known)
        for name in (
            *("threaded", "pooled", "background", "fail", "refuse"),
            *("stream", "stream_threaded", "endless", "spawn"),
        ):
            self.app.add_api_route(f"/{name}/{{note}}", getattr(self, name), response_model=None)
        self.app.add_api_route("/asynchronous/{note}", self.insert)
        for name, dependency in (("named", sync_key), ("named_in_thread", threaded_key)):
            self.app.add_api_route(
                f"/{name}/{{note}}", self.stream, dependencies=[Depends(dependency)]
            )

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        async with self.pool:
            yield
        await self.engine.dispose()
        self.sync_engine.dispose()

    async def insert(self, note: int) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(INSERT, {"id": note})

    def threaded(self, note: int) -> None:
        with self.sync_engine.begin() as connection:
            connection.execute(INSERT, {"id": note})

    async def pooled(self, note: int) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(INSERT_PSYCOPG, [note])

    async def background(self, note: int, tasks: BackgroundTasks) -> None:
        tasks.add_task(self.insert, note)
        tasks.add_task(self.threaded, note + 1)

    async def spawn(self, note: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.insert(note))
            group.create_task(asyncio.to_thread(self.threaded, note + 1))

    async def fail(self, note: int) -> None:
        await self.insert(note)
        raise LookupError("the handler fails")

    async def refuse(self, note: int) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(INSERT, {"id": note})
            raise HTTPException(403)

    async def stream(self, note: int) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            yield "begun "
            await self.insert(note)
            yield "done"
            await self.pooled(note + 1)

        return StreamingResponse(body())

    async def stream_threaded(self, note: int) -> StreamingResponse:
        def body() -> Iterator[str]:
            yield "begun "
            self.threaded(note)
            yield "done"
            self.threaded(note + 1)

        return StreamingResponse(body())

    async def endless(self, note: int) -> StreamingResponse:
        async def body() -> AsyncIterator[str]:
            try:
                async with actor("system", "stream"):
                    await self.insert(note)
                    while True:
                        yield "x" * 65536 + "\n"
                        await asyncio.sleep(0)
            finally:
                self.disconnected.set()

        return StreamingResponse(body())

    async def known(self, request: Request) -> dict[str, Any]:
        found = current_actor()
        known = dict(request.scope["auditdb.request"])
        return {"actor": found and found.id, "context": found and found.context, "known": known}


@pytest.fixture
def application(database: str) -> Application:
    create_notes(database)
    return Application(database)


@pytest.fixture
def url(application: Application) -> Iterator[str]:
    application.app.add_middleware(ActorMiddleware, actor=who)
    with uvicorn_serving(application.app) as url:
        yield url


def test_whatever_writes_writes_by_the_actor(database: str, application: Application) -> None:
    application.app.add_middleware(ActorMiddleware, actor=who)
    with (
        uvicorn_serving(application.app) as url,  # it ends when the background tasks have
        httpx.Client(base_url=url, headers=user(7), timeout=WAIT) as client,
    ):
        for note, path in enumerate(("asynchronous", "threaded", "pooled")):
            assert client.get(f"/{path}/{note}").status_code == 200
        for note, path in ((10, "background"), (20, "spawn")):
            assert client.get(f"/{path}/{note}").status_code == 200
        for note, path in ((30, "stream"), (40, "stream_threaded")):
            assert client.get(f"/{path}/{note}").text == "begun done"
    rows = notes(database)
    assert rows.keys() == {*"012", *("10", "11", "20", "21", "30", "31", "40", "41")}
    assert {(row.actor, row.actor_label) for row in rows.values()} == {
        ("platform_user:7", "7@x.example")
    }
    ids = [(row.context or {}).get("request_id", "") for row in rows.values()]
    assert all(GENERATED.fullmatch(each) for each in ids)
    assert len(set(ids)) == 7
    for row in rows.values():
        assert row.context is not None
        assert row.context.keys() == {"request_id", "ip", "user_agent"}
        assert (row.context["ip"], row.context["user_agent"]) == ("127.0.0.1", "tests/1")


def test_fifty_requests_at_once_have_their_own_actors(database: str) -> None:
    create_notes(database)
    application = Application(database, size=4)
    application.app.add_middleware(ActorMiddleware, actor=who)
    kinds = ("asynchronous", "threaded", "pooled", "stream", "background")

    async def send(url: str) -> list[int]:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=WAIT) as client:
            requests = [client.get(f"/{kinds[n % 5]}/{10 * n}", headers=user(n)) for n in range(50)]
            return [answer.status_code for answer in await asyncio.gather(*requests)]

    with uvicorn_serving(application.app) as url:
        assert asyncio.run(send(url)) == [200] * 50
    rows = notes(database)
    assert len(rows) == 70
    assert {row.actor for row in rows.values()} == {f"platform_user:{n}" for n in range(50)}
    for note, row in rows.items():
        assert row.actor == f"platform_user:{int(note) // 10}"
    assert len({(row.context or {})["request_id"] for row in rows.values()}) == 50


@pytest.mark.parametrize("headers", [{}, user(7)])
def test_a_dependency_names_the_actor(headers: dict[str, str], database: str, url: str) -> None:
    assert httpx.get(f"{url}/named/1", headers=headers).text == "begun done"
    assert httpx.get(f"{url}/known").json()["actor"] is None
    for row in notes(database).values():
        assert row.actor == "api_key:k1"
        assert row.context is not None
        assert row.context.keys() == {"request_id", "ip", "user_agent", "reason"}
        assert row.context["reason"] == "sync"
        assert row.context["user_agent"] == headers.get(
            "user-agent", f"python-httpx/{httpx.__version__}"
        )


def test_a_dependency_in_a_thread_names_nobody(database: str, url: str) -> None:
    assert httpx.get(f"{url}/named_in_thread/1", headers=user(7)).text == "begun done"
    assert httpx.get(f"{url}/known").json()["actor"] is None
    assert {row.actor for row in notes(database).values()} == {"platform_user:7"}


def test_the_next_request_has_nobody(database: str, url: str) -> None:
    with httpx.Client(base_url=url, timeout=WAIT) as client:
        for number, (path, status) in enumerate(
            (("asynchronous", 200), ("refuse", 403), ("fail", 500), ("named", 200), ("stream", 200))
        ):
            note = 100 * number
            assert client.get(f"/{path}/{note}", headers=user(7)).status_code == status
            assert client.get("/known").json()["actor"] is None
            for after, kind in enumerate(("asynchronous", "threaded", "pooled")):
                assert client.get(f"/{kind}/{note + 10 + after}").status_code == 200
    rows = notes(database)
    assert "100" not in rows
    assert rows["200"].actor == "platform_user:7"
    later = [row for note, row in rows.items() if int(note) % 100 >= 10]
    assert [row.actor for row in later] == [NOBODY] * 15
    assert [row.context for row in later] == [None] * 15


def test_a_client_that_goes_away_leaves_nothing(
    database: str, application: Application, url: str
) -> None:
    where = urllib.parse.urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=WAIT) as client:
        client.sendall(b"GET /endless/1 HTTP/1.1\r\nHost: x\r\nX-User: 7\r\n\r\n")
        with client.makefile("rb") as answer:
            assert any(line.startswith(b"xxxx") for line in answer)
    assert application.disconnected.wait(WAIT)
    for path in ("known", "asynchronous/2", "threaded/3", "pooled/4"):
        assert httpx.get(f"{url}/{path}").status_code == 200
    rows = notes(database)
    assert [rows[note].actor for note in "1234"] == ["system:stream", NOBODY, NOBODY, NOBODY]


def test_what_the_function_for_the_actor_raises_ends_the_request(
    database: str, application: Application
) -> None:
    async def failing(_scope: Scope) -> Actor | None:
        raise LookupError("no such session")

    application.app.add_middleware(ActorMiddleware, actor=failing)
    with uvicorn_serving(application.app) as url:
        assert httpx.get(f"{url}/asynchronous/1").status_code == 500
    assert notes(database) == {}


# Starlette, through a real server.


class Basic(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        name = conn.headers.get("x-user")
        return (AuthCredentials(), SimpleUser(name)) if name else None


def known(request: Request) -> JSONResponse:
    found = current_actor()
    known = dict(request.scope["auditdb.request"])
    return JSONResponse({"actor": found and found.id, "context": found and found.context} | known)


def test_middleware_before_ours_says_who_it_is() -> None:
    async def authenticated(scope: Scope) -> Actor | None:
        await asyncio.sleep(0)
        user = scope["user"]
        return Actor("platform_user", user.display_name) if user.is_authenticated else None

    app = Starlette(
        routes=[Route("/", known)],
        middleware=[
            Middleware(AuthenticationMiddleware, backend=Basic()),
            Middleware(ActorMiddleware, actor=authenticated),
        ],
    )
    with uvicorn_serving(app) as url:
        assert httpx.get(url, headers=user(7)).json()["actor"] == "7"
        assert httpx.get(url).json()["actor"] is None


def test_middleware_made_of_functions_keeps_the_actor() -> None:
    seen: list[str | None] = []

    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        seen.append(current_id())
        return await call_next(request)

    app = FastAPI()
    app.add_api_route("/", known, response_model=None)
    app.middleware("http")(dispatch)
    app.add_middleware(ActorMiddleware, actor=who)
    app.middleware("http")(dispatch)
    with uvicorn_serving(app) as url:
        assert httpx.get(url, headers=user(7)).json()["actor"] == "7"
    assert seen == [None, "7"]


def test_proxies_that_are_trusted_name_client_and_request() -> None:
    app = Starlette(routes=[Route("/", known)])
    headers = [
        ("X-Forwarded-For", "198.51.100.66"),
        ("X-Forwarded-For", "203.0.113.9:80"),
        ("X-Request-Id", "r-1"),
        *user(7).items(),
    ]
    for trusted, found in (
        ((), "127.0.0.1"),
        (("10.0.0.0/8",), "127.0.0.1"),
        (("127.0.0.0/8",), "203.0.113.9"),
        (("127.0.0.0/8", "203.0.113.9"), "198.51.100.66"),
    ):
        middleware = ActorMiddleware(app, who, trusted_proxies=trusted)
        with uvicorn_serving(middleware) as url:
            answer = httpx.get(url, headers=headers).json()
        assert answer["ip"] == answer["context"]["ip"] == found
        assert answer["request_id"] == answer["context"]["request_id"]
        assert (answer["request_id"] == "r-1") == (found != "127.0.0.1")


def test_a_server_behind_a_unix_socket_trusts_its_proxy(tmp_path: Path) -> None:
    app = ActorMiddleware(Starlette(routes=[Route("/", known)]), who, trusted_proxies=["unix"])
    path = str(tmp_path / "s")
    headers = {"x-forwarded-for": "203.0.113.9", "x-request-id": "r-1"}
    with (
        uvicorn_serving(app, unix_socket=path) as url,
        httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client,
    ):
        answer = client.get(url, headers=headers).json()
        assert (answer["ip"], answer["request_id"]) == ("203.0.113.9", "r-1")
        assert "ip" not in client.get(url).json()


# Websockets.


def test_a_websocket_is_by_the_actor(database: str) -> None:
    create_notes(database)

    async def run() -> list[Message]:
        engine = instrument(async_engine_of(database, pool_size=1, max_overflow=0))

        async def endpoint(websocket: WebSocket) -> None:
            await websocket.accept()
            async for text in websocket.iter_text():
                async with engine.begin() as connection:
                    await connection.execute(INSERT, {"id": int(text)})
                await websocket.send_text(current_id() or "")

        app = Starlette(routes=[WebSocketRoute("/", endpoint)])
        received: list[Message] = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "1"},
            {"type": "websocket.receive", "text": "2"},
            {"type": "websocket.disconnect", "code": 1000},
        ]
        sent = await call(ActorMiddleware(app, who), {"type": "websocket"}, received)
        async with engine.begin() as connection:
            await connection.execute(INSERT, {"id": 3})
        await engine.dispose()
        return sent

    sent = asyncio.run(run())
    assert [message.get("text") for message in sent[1:]] == ["7", "7"]
    rows = notes(database)
    assert [rows[note].actor for note in "123"] == [*["platform_user:7"] * 2, NOBODY]
    assert rows["1"].context == rows["2"].context
    assert (rows["1"].context or {})["ip"] == "192.0.2.7"
