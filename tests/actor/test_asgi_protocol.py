"""The middleware for ASGI with no framework: which scopes it serves, and what it leaves behind."""

import asyncio
import contextvars
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from auditdb._actor.scope import Actor, actor, current_actor
from auditdb.asgi import ActorMiddleware, App, Message, Receive, Scope, Send
from tests.support.web import call

GENERATED = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    yield
    assert current_actor() is None


def who(scope: Scope) -> Actor | None:
    name = dict(scope["headers"]).get(b"x-user")
    return Actor("platform_user", name.decode()) if name else None


def current_id() -> str | None:
    found = current_actor()
    return found.id if found else None


def saying(*said: str | None) -> tuple[App, list[str | None]]:
    """Return an application that adds the id of the actor to the list."""
    seen = list(said)

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(current_id())

    return app, seen


@pytest.mark.parametrize("kind", ["lifespan", "something.new"])
def test_other_scopes_pass_as_they_are(kind: str) -> None:
    given: list[Any] = []

    async def app(*arguments: Any) -> None:
        given.extend(arguments)
        assert current_actor() is None

    def never(_scope: Scope) -> Actor | None:
        raise LookupError("asked for the actor of no request")

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        raise LookupError(message)

    scope = {"type": kind}
    asyncio.run(ActorMiddleware(app, never)(scope, receive, send))
    assert given == [scope, receive, send]
    assert given[0] is scope
    assert scope == {"type": kind}


def test_the_function_for_the_actor_may_be_async_or_not() -> None:
    async def later(scope: Scope) -> Actor | None:
        await asyncio.sleep(0)
        return who(scope)

    functions: list[Callable[[Scope], Actor | Awaitable[Actor | None] | None]] = [who, later]
    for function in functions:
        app, seen = saying()
        asyncio.run(call(ActorMiddleware(app, function), {"type": "http"}))
        asyncio.run(call(ActorMiddleware(app, function), {"type": "http", "headers": []}))
        assert seen == ["7", None]


def test_the_function_for_the_actor_knows_the_request_and_is_nobody() -> None:
    async def looking_up(scope: Scope) -> Actor | None:
        assert current_actor() is None
        async with actor("system", "authentication"):
            found = current_actor()
            assert found is not None
            assert found.context == scope["auditdb.request"]
            return Actor("api_key", "k", context={"key": "v"})

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found = current_actor()
        assert found is not None
        assert (found.id, found.context) == ("k", {"key": "v", **scope["auditdb.request"]})

    asyncio.run(call(ActorMiddleware(app, looking_up), {"type": "http"}))


def test_a_server_may_know_no_client() -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        assert scope["auditdb.request"].keys() == {"request_id"}

    async def run() -> None:
        await call(ActorMiddleware(app, who), {"type": "http", "client": None})
        scope: Scope = {"type": "http", "headers": []}
        await ActorMiddleware(app, who)(scope, None, None)  # type: ignore[arg-type]

    asyncio.run(run())


def test_headers_are_found_whatever_their_case_and_bytes() -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        known = scope["auditdb.request"]
        assert (known["ip"], known["user_agent"]) == ("203.0.113.9", "\xe9\xff")
        assert GENERATED.fullmatch(known["request_id"])

    headers = [
        (b"X-Forwarded-For", b"junk\xff"),
        (b"USER-AGENT", b"\x00\xe9\xff"),
        (b"x-forwarded-for", b" 203.0.113.9 "),
        (b"x-request-id", b"a"),
        (b"x-request-id", b"b"),
    ]
    middleware = ActorMiddleware(app, who, trusted_proxies=["192.0.2.7"])
    asyncio.run(call(middleware, {"type": "http", "headers": headers}))


def test_nested_middleware_knows_one_request() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found = current_actor()
        seen.append((found and found.context, dict(scope["auditdb.request"])))

    outer: list[str] = []

    def outer_who(scope: Scope) -> Actor | None:
        outer.append(scope["auditdb.request"]["request_id"])
        return None

    middleware = ActorMiddleware(ActorMiddleware(app, who), outer_who)
    asyncio.run(call(middleware, {"type": "http"}))
    ((context, known),) = seen
    assert context == known == {"request_id": outer[0], "ip": "192.0.2.7"}


def test_anything_but_an_actor_is_refused() -> None:
    app, seen = saying()
    middleware = ActorMiddleware(app, lambda _: ("user", 7))  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"returned a tuple: return an auditdb\.Actor, or None"):
        asyncio.run(call(middleware, {"type": "http"}))
    assert seen == []


def test_a_wrong_setting_is_refused_at_the_start() -> None:
    app, _ = saying()
    with pytest.raises(ValueError, match=r"trusted_proxies has 'proxy\.example'"):
        ActorMiddleware(app, who, trusted_proxies=["proxy.example"])
    with pytest.raises(ValueError, match="request_id_header is ''"):
        ActorMiddleware(app, who, request_id_header="")


# What is left in the server's own context, where it serves requests one after another.


def test_an_outer_actor_is_not_that_of_the_request() -> None:
    app, seen = saying()

    async def run() -> None:
        async with actor("system", "server"):
            await call(ActorMiddleware(app, who), {"type": "http", "headers": []})
            seen.append(current_id())

    asyncio.run(run())
    assert seen == [None, "server"]


def test_after_an_exception_nobody_is_left() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise LookupError("the application fails")

    async def run() -> None:
        with pytest.raises(LookupError, match="the application fails"):
            await call(ActorMiddleware(app, who), {"type": "http"})
        assert current_actor() is None

    asyncio.run(run())


def test_an_actor_left_behind_by_a_body_stays_in_its_request() -> None:
    async def body() -> AsyncIterator[bytes]:
        async with actor("system", "stream"):
            yield b"a"
            yield b"b"

    async def run() -> None:
        unread = body()

        async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
            assert await anext(unread) == b"a"

        await call(ActorMiddleware(app, who), {"type": "http"})
        assert current_actor() is None
        assert await anext(unread) == b"b"
        assert current_actor() is None

    asyncio.run(run())


@pytest.mark.parametrize("step", range(7))
def test_cancelled_at_any_await_nobody_is_left(step: int) -> None:
    async def slow_who(scope: Scope) -> Actor | None:
        await asyncio.sleep(0)
        return who(scope)

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(0)
        async with actor("system", "inner"):
            await asyncio.sleep(0)
            with actor("system", "innermost"):
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def run() -> bool:
        context = contextvars.copy_context()
        request = call(ActorMiddleware(app, slow_who), {"type": "http"})
        task = asyncio.create_task(request, context=context)
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert context.run(current_actor) is None
        return task.cancelled()

    assert asyncio.run(run()) == (step < 6)
