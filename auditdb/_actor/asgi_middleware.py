"""ActorMiddleware for ASGI: runs each request by the actor that is found for it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from auditdb._actor import web_request
from auditdb._actor.scope import Actor, request_scope

if TYPE_CHECKING:
    from collections.abc import Iterable

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class ActorMiddleware:
    """Runs each request and websocket of `app` by the actor that `actor` finds for it.

    `actor` is called with the scope, once for a request, and returns an auditdb.Actor, or None
    where nobody is known (yet); it may be async. What it raises, the server gets.

    Every actor inside, also one that is named later with auditdb.actor(), has `request_id`, `ip`
    and `user_agent` in its context; they are in scope["auditdb.request"] too. The headers
    X-Forwarded-For and `request_id_header` are believed from `trusted_proxies` alone: addresses,
    networks such as 10.0.0.0/8, and "unix" for a server behind a Unix socket.

    Raises ValueError for an entry of `trusted_proxies` that is none of these; a request for which
    `actor` returns anything else is ended with a TypeError.

    >>> import asyncio
    >>> from auditdb import Actor, current_actor
    >>> async def app(scope, receive, send) -> None:
    ...     print(current_actor().id, current_actor().context["ip"])
    >>> app = ActorMiddleware(app, actor=lambda scope: Actor("platform_user", 42))
    >>> scope = {"type": "http", "headers": [], "client": ["192.0.2.7", 1234]}
    >>> asyncio.run(app(scope, None, None))
    42 192.0.2.7
    """

    def __init__(
        self,
        app: App,
        actor: Callable[[Scope], Actor | Awaitable[Actor | None] | None],
        *,
        trusted_proxies: Iterable[str] = (),
        request_id_header: str = "x-request-id",
    ) -> None:
        self.app = app
        self._actor = actor
        self._reader = web_request.reader(trusted_proxies, request_id_header)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, websocket, or whatever else the server asks for."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if web_request.KEY not in scope:
            scope[web_request.KEY] = self._read(scope)
        known = scope[web_request.KEY]
        with request_scope(None, known):
            who = self._actor(scope)
            if inspect.isawaitable(who):
                who = await who
            with request_scope(web_request.checked(who), known):
                await self.app(scope, receive, send)

    def _read(self, scope: Scope) -> web_request.Known:
        def header(name: str) -> str | None:
            wanted = name.encode("ascii")
            lines = [value for key, value in scope["headers"] if key.lower() == wanted]
            return b", ".join(lines).decode("latin-1") if lines else None

        peer = scope.get("client")
        return self._reader.read(peer[0] if peer else None, header)
