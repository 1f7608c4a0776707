"""The actor: who is responsible, carried by a context variable into the transactions begun."""

from __future__ import annotations

import functools
import inspect
import json
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeAlias, TypeVar, cast

from auditdb._actor import actor_setting
from auditdb.errors import InvalidActor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

OnBehalfOf: TypeAlias = "Actor | tuple[str, object] | tuple[str, object, str | None]"
"""Whom something is done for: type, id and label, or an Actor of these alone."""

P = ParamSpec("P")
R = TypeVar("R")

# U+0000 as JSON writes it: behind an even number of backslashes.
_NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# What audit.set_actor() allows; the ids must fit into an entry of an index.
_LENGTHS = {"type": 100, "id": 255, "label": 500}


@dataclass(frozen=True, slots=True, init=False)
class Actor:
    """Who does something: what the log will say of every row written in their transactions.

    Raises InvalidActor where the log could not hold it.

    >>> Actor("platform_user", 42, label="ana@example.com").id
    '42'
    >>> Actor("agent", "mailer", on_behalf_of=("platform_user", 42)).on_behalf_of.id
    '42'
    """

    type: str
    """The kind of actor, such as platform_user, api_key or system."""
    id: str
    """The id of the actor; a number or a UUID is turned into text."""
    label: str | None = None
    """A name for people, kept as it is now."""
    context: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Request id, address, reason and the like: values that JSON has; others as their str()."""
    on_behalf_of: Actor | None = None
    """Whom the actor does it for, where that is somebody else."""

    def __init__(
        self,
        type: str,  # noqa: A002 (the name of the field)
        id: object,  # noqa: A002
        label: str | None = None,
        context: Mapping[str, Any] | None = None,
        on_behalf_of: OnBehalfOf | None = None,
    ) -> None:
        object.__setattr__(self, "type", _text("type", type))
        object.__setattr__(self, "id", _text("id", id if isinstance(id, str) else str(id)))
        object.__setattr__(self, "label", None if label is None else _text("label", label))
        object.__setattr__(self, "context", dict(context or {}))
        object.__setattr__(self, "on_behalf_of", _principal(on_behalf_of))
        if not self.type or not self.id or id is None:
            raise InvalidActor("An actor needs a type and an id.")
        if self.type == "database":
            raise InvalidActor(
                "The actor type database stands for a transaction without an actor.",
                hint="Give the type of the actor a name of its own.",
            )
        written = self.context_json or ""
        if _NUL_IN_JSON.search(written):
            raise InvalidActor(
                "PostgreSQL holds no NUL character; the context of an actor has one."
            )
        _check_unicode("context", written)

    @property
    def context_json(self) -> str | None:
        """The context as JSON; None where it is empty."""
        if not self.context:
            return None
        try:
            return json.dumps(self.context, default=str, ensure_ascii=False, allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidActor(f"The context of an actor must be JSON: {error}.") from error


def _principal(given: OnBehalfOf | None) -> Actor | None:
    """Return whom it is done for as an Actor of type, id and label; InvalidActor for more."""
    if isinstance(given, tuple):
        if len(given) not in (2, 3):
            raise InvalidActor(
                "on_behalf_of is not type, id and label.",
                hint='Give ("customer", 7) or ("customer", 7, "Acme").',
            )
        return Actor(*given)
    if given is not None and not isinstance(given, Actor):
        raise InvalidActor(f"on_behalf_of is of type {type(given).__name__}: give a tuple.")
    if given is not None and (given.context or given.on_behalf_of):
        raise InvalidActor(
            "Whom an actor acts on behalf of has a type, an id and a label.",
            hint="Put the context into that of the actor.",
        )
    return given


def _text(name: str, given: object) -> str:
    """Return what the log will hold of `given`, as a plain string even of a member of an enum."""
    if not isinstance(given, str):
        raise InvalidActor(f"The {name} of an actor is a text, not {type(given).__name__}.")
    if "\x00" in given:
        raise InvalidActor(f"PostgreSQL holds no NUL character; the {name} of an actor has one.")
    _check_unicode(name, given)
    held = str.__str__(given).replace(actor_setting.SEPARATOR, "")
    if len(held) > _LENGTHS[name]:
        raise InvalidActor(f"The {name} of an actor is longer than {_LENGTHS[name]} characters.")
    return held


def _check_unicode(name: str, given: str) -> None:
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise InvalidActor(
            f"The {name} of an actor is not valid Unicode: {error.reason}."
        ) from error


@dataclass(slots=True, eq=False)
class _Frame:
    """One level of nesting: an actor, or none, and what is known of the request around it."""

    owner: object
    actor: Actor | None
    request: Mapping[str, Any]
    outer: _Frame | None
    before: actor_setting.Before | None = None
    """What the transaction of the owner's connection had before."""


_frame: ContextVar[_Frame | None] = ContextVar("auditdb.actor", default=None)


def current_actor() -> Actor | None:
    """Return the actor of this context: of this thread or async task; None where there is none.

    >>> with actor("system", "nightly-job"):
    ...     current_actor()
    Actor(type='system', id='nightly-job', label=None, context={}, on_behalf_of=None)
    >>> current_actor() is None
    True
    """
    frame = _frame.get()
    return frame.actor if frame else None


def actor(
    actor_type: str,
    actor_id: object,
    /,
    label: str | None = None,
    *,
    on_behalf_of: OnBehalfOf | None = None,
    connection: actor_setting.AnyConnection | None = None,
    **context: Any,
) -> ActorScope:
    """Name who is responsible for what follows: `with`, `async with`, or a decorator.

    Every transaction begun inside, on what instrument() was given, carries the actor to its end.
    `connection` is one whose transaction has begun already: there the actor is set at once, and
    what was there before set again at the end. Nested, the inner actor counts until it ends. What
    a middleware knows of the request is part of the context, unless `context` says otherwise.
    `on_behalf_of` is whom the actor does it for: type and id, or type, id and label.

    Raises InvalidActor where the log could not hold the actor; with `connection`, NoTransaction
    where it commits each statement by itself, and the errors of the database.

    >>> @actor("system", "nightly-job", reason="expiry")
    ... def expire() -> str:
    ...     return current_actor().context["reason"]
    >>> expire()
    'expiry'
    """
    return ActorScope(Actor(actor_type, actor_id, label, context, on_behalf_of), connection)


@contextmanager
def request_scope(who: Actor | None, request: Mapping[str, Any]) -> Iterator[None]:
    """Begin a request by `who`, or by nobody yet; actors named inside share what is known of it.

    For middleware: `request` holds the request id, address and the like. An actor that was named
    inside and is still there at the end, as by a stream that nobody read, goes with the request.
    """
    owner = object()
    _frame.set(_Frame(owner, who and _asked(who, request), request, outer=_frame.get()))
    try:
        yield
    finally:
        frame = _pop(owner)
        if frame is not None:
            _frame.set(frame.outer)


def _asked(who: Actor, request: Mapping[str, Any]) -> Actor:
    """Return `who` with what is known of the request, which says less than their own context."""
    return replace(who, context={**request, **who.context}) if request else who


def _pop(owner: object) -> _Frame | None:
    """Take the owner's innermost frame out, wherever it is: scopes may end in another order."""
    frames: list[_Frame] = []
    frame = _frame.get()
    while frame is not None and frame.owner is not owner:
        frames.append(frame)
        frame = frame.outer
    if frame is None:  # entered in another context, which ends with it
        return None
    rest = frame.outer
    for kept in reversed(frames):
        rest = replace(kept, outer=rest)
    _frame.set(rest)
    return frame


class ActorScope:
    """What actor() returns: a context manager and a decorator, to be used as often as needed."""

    def __init__(self, who: Actor, connection: actor_setting.AnyConnection | None = None) -> None:
        self._actor = who
        self._connection = connection

    def _level(self) -> _Frame:
        outer = _frame.get()
        request = outer.request if outer else {}
        return _Frame(self, _asked(self._actor, request), request, outer)

    def __enter__(self) -> Self:
        """Begin; return the scope."""
        frame = self._level()
        if self._connection is not None and frame.actor is not None:
            frame.before = actor_setting.put(self._connection, frame.actor)
        _frame.set(frame)
        return self

    def __exit__(self, *error: object) -> None:
        """End: the outer actor counts again, in the transaction of `connection` too."""
        frame = _pop(self)
        if frame is not None and frame.before is not None:
            actor_setting.restore(self._connection, frame.before)

    async def __aenter__(self) -> Self:
        """Begin; return the scope."""
        frame = self._level()
        if self._connection is not None and frame.actor is not None:
            frame.before = await actor_setting.put_async(self._connection, frame.actor)
        _frame.set(frame)
        return self

    async def __aexit__(self, *error: object) -> None:
        """End: the outer actor counts again, in the transaction of `connection` too."""
        frame = _pop(self)
        if frame is not None and frame.before is not None:
            await actor_setting.restore_async(self._connection, frame.before)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function` so wrapped that each of its calls, awaited or not, is by the actor.

        Raises TypeError for a generator, which would lend its actor to its caller between values.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"{name} is a generator: write `with auditdb.actor(...)` in it, around no yield."
            )

        async def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
            async with self:
                return await coroutine

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def called_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await awaited(function(*args, **kwargs))

            return cast("Callable[P, R]", called_async)

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                result = function(*args, **kwargs)
            # What another decorator made of an async function is one no more, to Python.
            return cast("R", awaited(result)) if inspect.iscoroutine(result) else result

        return called
