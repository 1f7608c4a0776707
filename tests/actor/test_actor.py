"""The actor of a context: what it may be, how it nests, whom it follows and whom it does not."""

import asyncio
import contextvars
import enum
import functools
import threading
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditdb._actor import psycopg_setting
from auditdb._actor.scope import Actor, ActorScope, actor, current_actor, request_scope
from auditdb.errors import AuditError, InvalidActor
from tests.support.helpers import value

pytestmark = pytest.mark.quick


def current_id() -> str | None:
    who = current_actor()
    return who.id if who else None


class Kind(enum.StrEnum):
    USER = "platform_user"


class OldKind(str, enum.Enum):  # noqa: UP042 (that old way is what the test is about)
    USER = "platform_user"


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    yield
    assert current_actor() is None


# What an actor may be.


@pytest.mark.parametrize(
    ("given_id", "text"),
    [(42, "42"), (0, "0"), (uuid.UUID(int=1), str(uuid.UUID(int=1))), ("a b", "a b")],
)
def test_an_id_becomes_text(given_id: object, text: str) -> None:
    with actor("platform_user", given_id):
        assert current_actor() == Actor("platform_user", text)


@pytest.mark.parametrize("kind", [Kind.USER, OldKind.USER])
def test_members_of_an_enum_become_plain_text(kind: str) -> None:
    who = Actor(kind, kind, label=kind)
    assert [type(text) for text in (who.type, who.id, who.label)] == [str, str, str]
    assert (who.type, who.id, who.label) == ("platform_user",) * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "1"), "needs a type and an id"),
        (("user", ""), "needs a type and an id"),
        (("user", None), "needs a type and an id"),
        (("user", "\x1f"), "needs a type and an id"),
        (("\x1f", "1"), "needs a type and an id"),
        (("database", "1"), "stands for a transaction without an actor"),
        ((7, "1"), "type of an actor is a text, not int"),
        (("user", "1", 7), "label of an actor is a text, not int"),
        (("us\x00er", "1"), "no NUL character; the type"),
        (("user", "1\x00"), "no NUL character; the id"),
        (("user", "1", "\x00"), "no NUL character; the label"),
        (("user", "1", "\ud800"), "label of an actor is not valid Unicode: surrogates"),
        (("u" * 101, "1"), "type of an actor is longer than 100 characters"),
        (("user", "1" * 256), "id of an actor is longer than 255 characters"),
        (("user", 10**255), "id of an actor is longer than 255 characters"),
        (("user", "1", "é" * 501), "label of an actor is longer than 500 characters"),
        (("user", "1", None, {}, "customer"), "on_behalf_of is of type str: give a tuple"),
        (("user", "1", None, {}, ("customer",)), "on_behalf_of is not type, id and label"),
        (("user", "1", None, {}, ("customer", "")), "needs a type and an id"),
        (("user", "1", None, {}, ("customer", None)), "needs a type and an id"),
        (("user", "1", None, {}, ("customer", "1", "\x00")), "no NUL character; the label"),
        (("user", "1", None, {}, ("database", "1")), "stands for a transaction without"),
        (("user", "1", None, {}, Actor("a", "1", None, {"b": 1})), "has a type, an id and a label"),
        (
            ("user", "1", None, {}, Actor("a", "1", on_behalf_of=("b", 1))),
            "has a type, an id and a label",
        ),
    ],
)
def test_what_the_log_cannot_hold_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InvalidActor, match=message):
        Actor(*arguments)


def test_the_longest_names_are_held() -> None:
    who = Actor("u" * 99 + "\x1fu", "é" * 255, "😀" * 500)
    assert (len(who.type), len(who.id), len(who.label or "")) == (100, 255, 500)


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (("customer", 7), None),
        (("customer", "7", None), None),
        (("customer", 7, "Acme"), "Acme"),
        (Actor("customer", 7, "Acme"), "Acme"),
    ],
)
def test_an_actor_acts_for_somebody_also_in_a_request(given: Any, label: str | None) -> None:
    customer = Actor("customer", "7", label)
    with request_scope(None, {"ip": "192.0.2.7"}), actor("agent", 1, on_behalf_of=given, a=1):
        found = current_actor()
    assert found == Actor("agent", "1", None, {"ip": "192.0.2.7", "a": 1}, customer)
    with request_scope(Actor("agent", 1, on_behalf_of=given), {"ip": "192.0.2.7"}):
        found = current_actor()
    assert found == Actor("agent", "1", None, {"ip": "192.0.2.7"}, customer)


def cycle() -> dict[str, Any]:
    around: dict[str, Any] = {}
    around["around"] = around
    return around


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"ratio": float("nan")}, "must be JSON: Out of range"),
        ({("a", "b"): 1}, "must be JSON: keys must be"),
        (cycle(), "must be JSON: Circular"),
        ({"agent": "a\x00b"}, "no NUL character; the context"),
        ({"agent": "\\\x00"}, "no NUL character; the context"),
        ({"a\x00": 1}, "no NUL character; the context"),
        ({"agent": "\udcff"}, "context of an actor is not valid Unicode"),
    ],
)
def test_a_context_that_is_not_json_is_refused(context: Any, message: str) -> None:
    with pytest.raises(InvalidActor, match=message):
        Actor("user", "1", None, context)


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "C:\\u0000\\x"])
def test_a_text_that_looks_like_an_escaped_nul_is_none(text: str) -> None:
    who = Actor(text, text, text, {text: text})
    assert (who.type, who.context) == (text, {text: text})


def test_other_values_in_a_context_are_written_as_their_text() -> None:
    who = Actor("user", "1", context={"job": uuid.UUID(int=7), "count": 3})
    assert who.context_json == f'{{"job": "{uuid.UUID(int=7)}", "count": 3}}'
    assert Actor("user", "1").context_json is None


def test_a_context_is_copied() -> None:
    context = {"reason": "a"}
    who = Actor("user", "1", context=context)
    context["reason"] = "b"
    assert who.context == {"reason": "a"}
    assert hash(who) == hash(Actor("user", "1"))


TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def test_what_a_begin_sets_is_what_set_actor_sets(connection: psycopg.Connection) -> None:
    def fields() -> list[Any]:
        return list(
            connection.execute(
                "select (a.f)[1:4], (a.f)[5]::jsonb, (a.f)[6:] from (select "
                "string_to_array(current_setting('audit.actor'), chr(31), '')) as a (f)"
            ).fetchone()
            or ()
        )

    principals = st.none() | st.tuples(TEXTS, TEXTS) | st.tuples(TEXTS, TEXTS, st.none() | TEXTS)
    contexts = st.dictionaries(TEXTS, VALUES)

    @given(kind=TEXTS, name=TEXTS, label=st.none() | TEXTS, context=contexts, principal=principals)
    def check(
        kind: str, name: str, label: str | None, context: dict[str, Any], principal: Any
    ) -> None:
        try:
            who = Actor(kind, name, label, context, on_behalf_of=principal)
        except InvalidActor:
            return
        given = who.on_behalf_of
        connection.execute(psycopg_setting.assignment(who))
        begun = fields()
        connection.execute(
            "select audit.set_actor(%s, %s, %s, %s::text::jsonb, %s, %s, %s)",
            (
                *(who.type, who.id, who.label, who.context_json),
                *((given.type, given.id, given.label) if given else (None, None, None)),
            ),
        )
        assert begun == fields()

    check()


def test_what_a_begin_sets_is_read_by_the_log(connection: psycopg.Connection) -> None:
    connection.execute("create table thing (id int primary key)")
    connection.execute("select audit.track('thing')")
    who = Actor("us'er", "a\\b", "%s \x1f ü 日", {"k": "it's\x1f \\ \" %(x)s", "n": [1, None]})
    connection.execute(psycopg_setting.assignment(who))
    connection.execute("insert into thing values (1)")
    row = connection.execute(
        "select actor_type, actor_id, actor_label, context from audit.log where item_type = 'thing'"
    ).fetchone()
    assert row == ("us'er", "a\\b", "%s  ü 日", {"k": "it's\x1f \\ \" %(x)s", "n": [1, None]})
    assert value(connection, "select current_setting('audit.actor')").count("\x1f") == 4


# How actors nest.


def test_nested_actors_count_until_they_end() -> None:
    assert current_actor() is None
    with actor("user", 1):
        with actor("user", 2):
            assert current_id() == "2"
        assert current_id() == "1"
    assert current_actor() is None


def test_the_outer_actor_counts_again_after_an_exception() -> None:
    with actor("user", 1):
        with pytest.raises(ZeroDivisionError), actor("user", 2):
            raise ZeroDivisionError
        assert current_id() == "1"


def test_a_scope_can_be_used_again_also_inside_itself() -> None:
    scope = actor("user", 1)
    with scope, actor("user", 2):
        with scope:
            assert current_id() == "1"
        assert current_id() == "2"
    with scope:
        assert current_id() == "1"


def test_scopes_may_end_in_another_order() -> None:
    first, second = actor("user", 1), actor("user", 2)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert current_id() == "2"
    second.__exit__(None, None, None)
    assert current_id() is None


def test_a_scope_gives_itself() -> None:
    with actor("user", 1) as scope:
        assert isinstance(scope, ActorScope)


def test_an_error_in_making_an_actor_changes_nothing() -> None:
    with actor("user", 1):
        with pytest.raises(AuditError):
            actor("", 2)
        assert current_id() == "1"


# What a request brings.


def test_what_is_known_of_a_request_is_part_of_each_context_in_it() -> None:
    with request_scope(Actor("user", "1", context={"a": 1}), {"request_id": "r", "a": 0}):
        assert current_actor() == Actor("user", "1", context={"request_id": "r", "a": 1})
        with actor("user", 2, reason="x"), actor("user", 3, request_id="other"):
            assert current_actor() == Actor("user", "3", context={"request_id": "other", "a": 0})
    assert current_actor() is None


def test_a_request_without_an_actor_hides_the_outer_one() -> None:
    with actor("user", 1):
        with request_scope(None, {"request_id": "r"}):
            assert current_actor() is None
            with actor("user", 2):
                assert current_actor() == Actor("user", "2", context={"request_id": "r"})
        assert current_id() == "1"


def test_a_request_ends_with_an_exception_too() -> None:
    with pytest.raises(ZeroDivisionError), request_scope(Actor("user", "1"), {}):
        raise ZeroDivisionError
    assert current_actor() is None


# As a decorator.


def test_a_decorated_function_runs_by_the_actor() -> None:
    @actor("user", 1)
    def named(greeting: str, *, name: str) -> str:
        """Greet."""
        return f"{greeting} {name} by {current_id()}"

    assert named("hello", name="Ana") == "hello Ana by 1"
    assert (named.__name__, named.__doc__) == ("named", "Greet.")
    assert current_actor() is None


def test_a_decorated_function_may_call_itself() -> None:
    @actor("user", 1)
    def count(down: int) -> list[str | None]:
        with actor("user", f"n{down}"):
            below = count(down - 1) if down else []
            return [current_id(), *below]

    assert count(2) == ["n2", "n1", "n0"]


def test_a_decorated_coroutine_runs_by_the_actor() -> None:
    @actor("user", 1)
    async def named(name: str) -> str:
        await asyncio.sleep(0)
        return f"{name} by {current_id()}"

    async def main() -> None:
        assert await named("Ana") == "Ana by 1"
        assert current_actor() is None

    asyncio.run(main())


class Job:
    async def __call__(self) -> str | None:
        await asyncio.sleep(0)
        return current_id()


async def job() -> str | None:
    await asyncio.sleep(0)
    return current_id()


def through_another_decorator() -> Coroutine[Any, Any, str | None]:
    return job()


@pytest.mark.parametrize("awaitable", [Job(), functools.partial(job), through_another_decorator])
def test_what_gives_a_coroutine_runs_by_the_actor(awaitable: Any) -> None:
    wrapped = actor("user", 1)(awaitable)

    async def main() -> None:
        assert await wrapped() == "1"
        assert current_actor() is None

    asyncio.run(main())


def test_one_decorated_coroutine_runs_many_times_at_once() -> None:
    @actor("outer", 1)
    async def named(name: int) -> str | None:
        with actor("inner", name):
            await asyncio.sleep(0)
            return current_id()

    async def main() -> list[str | None]:
        return await asyncio.gather(*map(named, range(20)))

    assert asyncio.run(main()) == [str(n) for n in range(20)]


def test_a_decorated_generator_is_refused() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def numbers_async() -> AsyncIterator[int]:
        yield 1

    for function in (numbers, numbers_async, functools.partial(numbers)):
        with pytest.raises(TypeError, match=r"numbers.* is a generator: write `with"):
            actor("user", 1)(function)


# Whom it follows.


def test_tasks_begun_inside_keep_the_actor_and_lend_none_back() -> None:
    async def child(begun: asyncio.Event, go: asyncio.Event) -> tuple[str | None, str | None]:
        begun.set()
        await go.wait()
        before = current_id()
        async with actor("user", "child"):
            return before, current_id()

    async def main() -> None:
        begun, go = asyncio.Event(), asyncio.Event()
        async with actor("user", 1):
            task = asyncio.create_task(child(begun, go))
            await begun.wait()
        go.set()
        assert await task == ("1", "child")
        assert current_actor() is None

    asyncio.run(main())


def test_async_and_plain_blocks_nest() -> None:
    async def main() -> None:
        async with actor("user", 1):
            with actor("user", 2):
                assert current_id() == "2"
            with pytest.raises(ZeroDivisionError):
                async with actor("user", 3):
                    raise ZeroDivisionError
            assert current_id() == "1"

    asyncio.run(main())


def test_a_thread_has_no_actor_but_in_a_copied_context() -> None:
    async def to_thread() -> str | None:
        return await asyncio.to_thread(current_id)

    seen: list[str | None] = []
    with actor("user", 1), ThreadPoolExecutor(1) as executor:
        thread = threading.Thread(target=lambda: seen.append(current_id()))
        thread.start()
        thread.join()
        assert executor.submit(current_id).result() is None
        assert executor.submit(contextvars.copy_context().run, current_id).result() == "1"
        assert asyncio.run(to_thread()) == "1"
    assert seen == [None]


def test_a_scope_that_ends_in_another_context_leaves_that_one_alone() -> None:
    scope = actor("user", 1)
    contextvars.copy_context().run(scope.__enter__)
    with actor("user", 2):
        scope.__exit__(None, None, None)
        assert current_id() == "2"


def test_a_generator_lends_its_actor_until_it_goes_on() -> None:
    def lines() -> Iterator[str | None]:
        with actor("user", "export"):
            yield current_id()
        yield current_id()

    produced = lines()
    with actor("user", 1):
        assert next(produced) == "export"
        assert current_id() == "export", "a context belongs to the thread, not to the generator"
        assert next(produced) == "1"
    produced.close()  # type: ignore[attr-defined]
