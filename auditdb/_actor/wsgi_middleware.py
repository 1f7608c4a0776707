"""ActorMiddleware for WSGI: runs each request by the actor that is found for it."""

from __future__ import annotations

import contextvars
import inspect
from typing import TYPE_CHECKING, Any

from auditdb._actor import web_request
from auditdb._actor.scope import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from auditdb._actor.scope import Actor

# What servers say instead of an address for a Unix socket: gunicorn, Werkzeug and Waitress.
_UNIX = ("", "<local>", "localhost")


class ActorMiddleware:
    """Runs each request of `app` by the actor that `actor` finds for it.

    `actor` is called with the environ, once for a request, and returns an auditdb.Actor, or None
    where nobody is known (yet). What it raises, the server gets.

    Every actor inside, also one that is named later with auditdb.actor(), has `request_id`, `ip`
    and `user_agent` in its context; they are in environ["auditdb.request"] too. The headers
    X-Forwarded-For and `request_id_header` are believed from `trusted_proxies` alone: addresses,
    networks such as 10.0.0.0/8, and "unix" for a server behind a Unix socket.

    The application runs in a context of its own (contextvars.Context) from its call until its body
    is closed: the body is by the actor, and what the server's thread does next is not.

    Raises ValueError for an entry of `trusted_proxies` that is none of these; a request for which
    `actor` returns anything else is ended with a TypeError.

    >>> from auditdb import Actor, current_actor
    >>> def app(environ, start_response):
    ...     yield f"{current_actor().id} {current_actor().context['ip']}".encode()
    >>> app = ActorMiddleware(app, actor=lambda environ: Actor("platform_user", 42))
    >>> list(app({"REMOTE_ADDR": "192.0.2.7"}, None))
    [b'42 192.0.2.7']
    """

    def __init__(
        self,
        app: WSGIApplication,
        actor: Callable[[WSGIEnvironment], Actor | None],
        *,
        trusted_proxies: Iterable[str] = (),
        request_id_header: str = "x-request-id",
    ) -> None:
        self.app = app
        self._actor = actor
        self._reader = web_request.reader(trusted_proxies, request_id_header)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        context = contextvars.copy_context().run(self._begun, environ)
        body = context.run(self.app, environ, start_response)
        if isinstance(body, list | tuple):  # nothing runs later, and servers ask for its length
            return body
        return _Body(context, body)

    def _begun(self, environ: WSGIEnvironment) -> contextvars.Context:
        """Return a context in which the request has begun, and which nobody else has."""
        if web_request.KEY not in environ:
            environ[web_request.KEY] = self._read(environ)
        known = environ[web_request.KEY]
        with request_scope(None, known):
            who: Any = self._actor(environ)
            if inspect.iscoroutine(who):
                who.close()
                raise TypeError("The function for the actor is async, which WSGI cannot wait for.")
            with request_scope(web_request.checked(who), known):
                return contextvars.copy_context()

    def _read(self, environ: WSGIEnvironment) -> web_request.Known:
        def header(name: str) -> str | None:
            value: str | None = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
            return value

        peer = environ.get("REMOTE_ADDR", "")
        return self._reader.read(None if peer in _UNIX else peer, header)


class _Body:
    """The body of a response, each step of which runs in the context of its request."""

    def __init__(self, context: contextvars.Context, body: Iterable[bytes]) -> None:
        self._context = context
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._context.run(iter, self._body)
        return iter(lambda: self._context.run(next, chunks, None), None)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)
