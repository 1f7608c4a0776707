"""The middleware for WSGI: by whom rows are written in Flask, and what is left."""

import itertools
import re
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from wsgiref.types import WSGIEnvironment

import flask
import httpx
import pytest
from sqlalchemy import Engine

from auditdb._actor.instrument import instrument
from auditdb._actor.scope import Actor, actor, current_actor
from auditdb.wsgi import ActorMiddleware
from tests.support.actors import INSERT, NOBODY, create_notes, engine_of
from tests.support.web import WAIT, notes, werkzeug_serving

GENERATED = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    yield
    assert current_actor() is None


def who(environ: WSGIEnvironment) -> Actor | None:
    name = environ.get("HTTP_X_USER")
    return Actor("platform_user", name, label=f"{name}@x.example") if name else None


def user(name: object) -> dict[str, str]:
    return {"x-user": str(name), "user-agent": "tests/1"}


# Flask, through a real server.


class Application:
    """A Flask application that writes notes, each in a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.disconnected = threading.Event()
        self.teardowns = itertools.count(1)
        self.flask = flask.Flask(__name__)
        self.flask.logger.disabled = True
        for rule in ("write", "named", "stream", "endless", "closing", "fail", "fail_streaming"):
            self.flask.add_url_rule(f"/{rule}/<int:note>", rule, getattr(self, rule))
        self.flask.add_url_rule("/known", "known", self.known)
        self.flask.teardown_request(self.teardown)

    def insert(self, note: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(INSERT, {"id": note})

    def write(self, note: int) -> str:
        self.insert(note)
        return "written"

    def named(self, note: int) -> str:
        with actor("api_key", "k1", reason="sync", user_agent="mine"):
            self.insert(note)
        self.insert(note + 1)
        return "written"

    def stream(self, note: int) -> flask.Response:
        def body() -> Iterator[str]:
            yield "begun "
            self.insert(note)
            yield flask.request.path
            self.insert(note + 1)

        return flask.Response(flask.stream_with_context(body()))

    def endless(self, note: int) -> flask.Response:
        def body() -> Iterator[str]:
            try:
                while True:
                    yield "x" * 65536
            finally:
                self.insert(note)
                self.disconnected.set()

        return flask.Response(body())

    def closing(self, note: int) -> flask.Response:
        response = flask.Response(["a", "b"])
        response.call_on_close(lambda: self.insert(note))
        return response

    def fail(self, note: int) -> str:
        self.insert(note)
        raise LookupError("the handler fails")

    def fail_streaming(self, note: int) -> flask.Response:
        def body() -> Iterator[str]:
            yield "begun"
            self.insert(note)
            raise LookupError("the body fails")

        return flask.Response(body())

    def known(self) -> dict[str, Any]:
        found = current_actor()
        known = dict(flask.request.environ["auditdb.request"])
        return {"actor": found and found.id, "context": found and found.context, "known": known}

    def teardown(self, _error: BaseException | None) -> None:
        if "teardown" in flask.request.args:
            self.insert(next(self.teardowns))


@pytest.fixture
def application(database: str) -> Iterator[Application]:
    create_notes(database)
    engine = instrument(engine_of(database, pool_size=2, max_overflow=0))
    yield Application(engine)
    engine.dispose()


@pytest.fixture
def url(application: Application) -> Iterator[str]:
    with werkzeug_serving(ActorMiddleware(application.flask, who)) as url:
        yield url


def test_a_handler_writes_by_the_actor(database: str, url: str) -> None:
    assert httpx.get(f"{url}/write/1", headers=user(7)).text == "written"
    assert httpx.get(f"{url}/write/2").text == "written"
    rows = notes(database)
    assert (rows["1"].actor, rows["1"].actor_label) == ("platform_user:7", "7@x.example")
    context = rows["1"].context or {}
    assert context.keys() == {"request_id", "ip", "user_agent"}
    assert GENERATED.fullmatch(context["request_id"])
    assert (context["ip"], context["user_agent"]) == ("127.0.0.1", "tests/1")
    assert rows["2"].actor == NOBODY


def test_fifty_requests_at_once_have_their_own_actors(database: str, url: str) -> None:
    with httpx.Client() as client, ThreadPoolExecutor(50) as threads:
        written = threads.map(
            lambda note: client.get(f"{url}/write/{note}", headers=user(note)).text, range(50)
        )
        assert list(written) == ["written"] * 50
    rows = notes(database)
    assert {note: row.actor for note, row in rows.items()} == {
        str(note): f"platform_user:{note}" for note in range(50)
    }
    assert len({(row.context or {})["request_id"] for row in rows.values()}) == 50


def test_an_actor_named_in_a_handler_keeps_what_is_known_of_the_request(
    database: str, url: str
) -> None:
    assert httpx.get(f"{url}/named/1", headers=user(7)).text == "written"
    rows = notes(database)
    inner, outer = rows["1"].context or {}, rows["2"].context or {}
    assert [rows["1"].actor, rows["2"].actor] == ["api_key:k1", "platform_user:7"]
    assert outer["user_agent"] == "tests/1"
    assert inner == {**outer, "reason": "sync", "user_agent": "mine"}


def test_an_actor_may_be_named_where_nobody_was_known(database: str, url: str) -> None:
    assert httpx.get(f"{url}/named/1").text == "written"
    rows = notes(database)
    assert [rows["1"].actor, rows["2"].actor] == ["api_key:k1", NOBODY]
    assert (rows["1"].context or {}).keys() == {"request_id", "ip", "user_agent", "reason"}


def test_a_streamed_body_is_by_the_actor(database: str, url: str) -> None:
    assert httpx.get(f"{url}/stream/1", headers=user(7)).text == "begun /stream/1"
    rows = notes(database)
    assert [rows["1"].actor, rows["2"].actor] == ["platform_user:7"] * 2
    assert rows["1"].context == rows["2"].context


@pytest.mark.parametrize("path", ["closing/1", "known?teardown", "stream/8?teardown"])
def test_what_runs_at_the_end_is_by_the_actor(
    path: str, database: str, application: Application
) -> None:
    with werkzeug_serving(ActorMiddleware(application.flask, who), threaded=False) as url:
        assert httpx.get(f"{url}/{path}", headers=user(7)).status_code == 200
        httpx.get(f"{url}/known")  # the one thread has ended the first request by then
    assert notes(database)["1"].actor == "platform_user:7"


@pytest.mark.parametrize("path", ["write", "named", "stream", "closing", "fail", "fail_streaming"])
def test_the_next_request_on_the_thread_has_nobody(
    path: str, database: str, application: Application
) -> None:
    with (
        werkzeug_serving(ActorMiddleware(application.flask, who), threaded=False) as url,
        httpx.Client(base_url=url) as client,
    ):
        if path == "fail_streaming":
            with pytest.raises(httpx.RemoteProtocolError):
                client.get(f"/{path}/1", headers=user(7))
        else:
            client.get(f"/{path}/1", headers=user(7))
        assert client.get("/known").json()["actor"] is None
        assert client.get("/write/9").text == "written"
    rows = notes(database)
    assert rows["9"].actor == NOBODY
    assert rows["1"].actor in ("platform_user:7", "api_key:k1")


def test_a_client_that_goes_away_leaves_nothing(database: str, application: Application) -> None:
    with werkzeug_serving(ActorMiddleware(application.flask, who), threaded=False) as url:
        where = urllib.parse.urlsplit(url)
        with socket.create_connection((where.hostname, where.port), timeout=WAIT) as client:
            client.sendall(b"GET /endless/1 HTTP/1.1\r\nHost: x\r\nX-User: 7\r\n\r\n")
            assert client.recv(16)
        assert application.disconnected.wait(WAIT)
        assert httpx.get(f"{url}/write/2").text == "written"
    rows = notes(database)
    assert [rows["1"].actor, rows["2"].actor] == ["platform_user:7", NOBODY]


def test_proxies_that_are_trusted_name_client_and_request(application: Application) -> None:
    headers = {"x-forwarded-for": "198.51.100.66, 203.0.113.9:80", "x-request-id": "r-1", **user(7)}
    for trusted, found in (
        ((), "127.0.0.1"),
        (("10.0.0.0/8",), "127.0.0.1"),
        (("127.0.0.0/8",), "203.0.113.9"),
    ):
        middleware = ActorMiddleware(application.flask, who, trusted_proxies=trusted)
        with werkzeug_serving(middleware) as url:
            answer = httpx.get(f"{url}/known", headers=headers).json()
        assert answer["known"] == answer["context"]
        assert answer["known"]["ip"] == found
        assert (answer["known"]["request_id"] == "r-1") == (found == "203.0.113.9")


def test_what_the_function_for_the_actor_raises_ends_the_request(
    database: str, application: Application
) -> None:
    def failing(environ: WSGIEnvironment) -> Actor | None:
        raise LookupError("no such session")

    with werkzeug_serving(ActorMiddleware(application.flask, failing)) as url:
        assert httpx.get(f"{url}/write/1").status_code == 500
    assert notes(database) == {}


def test_the_test_client_of_flask_keeps_its_request(application: Application) -> None:
    app = application.flask
    app.wsgi_app = ActorMiddleware(app.wsgi_app, who)  # type: ignore[method-assign]
    with app.test_client() as client:
        assert client.get("/known?a=b", headers=user(7)).json["actor"] == "7"  # type: ignore[index]
        assert flask.request.args["a"] == "b"
        assert current_actor() is None
