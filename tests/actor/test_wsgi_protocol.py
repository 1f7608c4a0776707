"""The middleware for WSGI with no framework: what PEP 3333 asks for, step by step."""

import contextvars
import io
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from auditdb._actor.scope import Actor, actor, current_actor
from auditdb.wsgi import ActorMiddleware


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    yield
    assert current_actor() is None


def who(environ: WSGIEnvironment) -> Actor | None:
    name = environ.get("HTTP_X_USER")
    return Actor("platform_user", name) if name else None


class Body:
    """A body that says how it was used, and who was the actor at each step."""

    def __init__(self, chunks: Iterable[bytes] = (b"a", b"b")) -> None:
        self.chunks = chunks
        self.steps: list[tuple[str, str | None]] = []

    def step(self, name: str) -> None:
        found = current_actor()
        self.steps.append((name, found.id if found else None))

    def __iter__(self) -> Iterator[bytes]:
        self.step("iter")
        return self.each()

    def each(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.step("next")
            yield chunk


class ClosableBody(Body):
    def close(self) -> None:
        self.step("close")


def request(app: WSGIApplication, name: str | None = "7") -> Any:
    environ: dict[str, Any] = {"HTTP_X_USER": name} if name else {}
    setup_testing_defaults(environ)
    return ActorMiddleware(app, who)(environ, start_response)


def answering(body: Iterable[bytes]) -> WSGIApplication:
    return lambda *_: body


def start_response(status: str, headers: Any, error: Any = None, /) -> Any:
    return io.BytesIO().write


def test_each_step_of_a_body_is_by_the_actor() -> None:
    inner = ClosableBody()
    body = request(answering(inner))
    assert inner.steps == []
    assert list(body) == [b"a", b"b"]
    body.close()
    assert inner.steps == [(step, "7") for step in ("iter", "next", "next", "close")]


def test_a_body_is_closed_though_nobody_read_it() -> None:
    inner = ClosableBody()
    request(answering(inner)).close()
    assert inner.steps == [("close", "7")]


def test_a_body_without_close_is_not_closed() -> None:
    inner = Body()
    body = request(answering(inner))
    assert next(iter(body)) == b"a"
    body.close()
    assert inner.steps == [("iter", "7"), ("next", "7")]


def test_chunks_come_one_by_one() -> None:
    taken: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            taken.append(number)
            yield b"" if number == 1 else b"x"

    body = iter(request(answering(chunks())))
    for number, chunk in enumerate((b"x", b"", b"x")):
        assert next(body) == chunk
        assert taken == list(range(number + 1))


def test_what_close_raises_goes_to_the_server() -> None:
    class Broken(Body):
        def close(self) -> None:
            raise LookupError("cannot close")

    with pytest.raises(LookupError, match="cannot close"):
        request(answering(Broken())).close()


def test_what_the_application_raises_goes_to_the_server() -> None:
    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        raise LookupError("no body")

    with pytest.raises(LookupError, match="no body"):
        request(app)


@pytest.mark.parametrize("body", [[b"a"], (b"a", b"b"), []])
def test_a_list_stays_as_it_is(body: Any) -> None:
    assert request(answering(body)) is body


def test_a_file_in_the_wrapper_of_the_server_is_sent_and_closed() -> None:
    file = io.BytesIO(b"x" * 20000)
    body = request(answering(FileWrapper(file)))
    assert b"".join(body) == b"x" * 20000
    body.close()
    assert file.closed


def test_write_writes_by_the_actor() -> None:
    written: list[tuple[bytes, str | None]] = []

    def write(data: bytes) -> None:
        found = current_actor()
        written.append((data, found.id if found else None))

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        start("200 OK", [])(b"early")
        return []

    environ: dict[str, Any] = {"HTTP_X_USER": "7"}
    setup_testing_defaults(environ)
    ActorMiddleware(app, who)(environ, lambda *_: write)
    assert written == [(b"early", "7")]


def test_two_requests_may_be_served_in_turns_on_one_thread() -> None:
    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
        for _ in range(2):
            found = current_actor()
            yield (found.id if found else "nobody").encode()

    served = [iter(request(app, name)) for name in ("1", "2", None)]
    assert [next(body) for body in served] == [b"1", b"2", b"nobody"]
    assert current_actor() is None
    assert [next(body) for body in reversed(served)] == [b"nobody", b"2", b"1"]


def test_an_actor_left_behind_by_a_body_stays_in_its_request() -> None:
    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
        with actor("system", "job"):
            yield b"a"
            yield b"b"

    body = request(app)
    assert next(iter(body)) == b"a"
    assert current_actor() is None
    body.close()


def test_an_outer_actor_is_not_that_of_the_request() -> None:
    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
        assert current_actor() is None
        yield b"a"

    with actor("system", "server"):
        assert list(request(app, None)) == [b"a"]
        found = current_actor()
        assert found is not None
        assert found.context == {}


def test_the_context_of_the_server_is_seen_and_not_changed() -> None:
    variable = contextvars.ContextVar("variable", default="server")

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterator[bytes]:
        for number in range(2):
            yield variable.get().encode()
            variable.set(f"step {number}")

    variable.set("thread")
    assert list(request(app)) == [b"thread", b"step 0"]
    assert variable.get() == "thread"


@pytest.mark.parametrize(
    "chunks", [[b"all"], (b"a", b"b"), Body([b"a", b"b"]), ClosableBody([b"a", b"b"])]
)
def test_the_validator_of_the_standard_library_finds_nothing(chunks: Iterable[bytes]) -> None:
    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return chunks

    environ: dict[str, Any] = {"HTTP_X_USER": "7", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    body: Any = validator(ActorMiddleware(validator(app), who))(environ, start_response)
    assert b"".join(body) in (b"all", b"ab")
    body.close()


def test_the_function_for_the_actor_knows_the_request_and_is_nobody() -> None:
    def looking_up(environ: WSGIEnvironment) -> Actor | None:
        assert current_actor() is None
        with actor("system", "authentication"):
            found = current_actor()
            assert found is not None
            assert found.context == environ["auditdb.request"]
            return Actor("api_key", "k", context={"key": "v"})

    def app(environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        found = current_actor()
        assert found is not None
        assert (found.id, found.context) == ("k", {"key": "v", **environ["auditdb.request"]})
        return []

    with actor("system", "server"):
        assert ActorMiddleware(app, looking_up)({}, start_response) == []


def test_nested_middleware_knows_one_request() -> None:
    seen: list[Any] = []

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        found = current_actor()
        seen.append((found and found.context, dict(environ["auditdb.request"])))
        return []

    outer: list[str] = []

    def outer_who(environ: WSGIEnvironment) -> Actor | None:
        outer.append(environ["auditdb.request"]["request_id"])
        return None

    environ: dict[str, Any] = {"HTTP_X_USER": "7", "REMOTE_ADDR": "192.0.2.7"}
    ActorMiddleware(ActorMiddleware(app, who), outer_who)(environ, start_response)
    ((context, known),) = seen
    assert context == known == {"request_id": outer[0], "ip": "192.0.2.7"}


@pytest.mark.parametrize("peer", ["", "<local>", "localhost", None])
def test_a_server_behind_a_unix_socket_trusts_its_proxy(peer: str | None) -> None:
    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        return [environ["auditdb.request"].get("ip", "").encode()]

    environ: dict[str, Any] = {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    if peer is not None:
        environ["REMOTE_ADDR"] = peer
    middleware = ActorMiddleware(app, who, trusted_proxies=["unix"])
    assert list(middleware(dict(environ), start_response)) == [b"203.0.113.9"]
    assert list(ActorMiddleware(app, who)(dict(environ), start_response)) == [b""]


def test_an_async_function_for_the_actor_is_refused() -> None:
    async def later(environ: WSGIEnvironment) -> Actor | None:
        return None

    middleware = ActorMiddleware(answering([]), later)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="which WSGI cannot wait for"):
        middleware({}, start_response)


def test_anything_but_an_actor_is_refused() -> None:
    middleware = ActorMiddleware(answering([]), lambda _: ("user", 7))  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"returned a tuple: return an auditdb\.Actor, or None"):
        middleware({}, start_response)


def test_a_wrong_setting_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"trusted_proxies has 'proxy\.example'"):
        ActorMiddleware(answering([]), who, trusted_proxies=["proxy.example"])
    with pytest.raises(ValueError, match="request_id_header is ''"):
        ActorMiddleware(answering([]), who, request_id_header="")
