"""Random statements of two sessions: after each, the log holds what the oracle says, no more."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from psycopg.types.json import Jsonb

from tests.core_tables import TABLES, Tables
from tests.core_values import OPERATIONAL, is_leaf
from tests.helpers import LogRow, new_log, newest, value
from tests.oracle import (
    Actor,
    Entry,
    apply,
    predict,
    text,
    truncated,
    truncation,
)
from tests.replay import assert_replays, stored
from tests.servers import Server
from tests.statements import Draw, Statement, Statements, added, pick, unchanged

# The same runs every time; with AUDITDB_ORACLE_EXAMPLES as many as it says, new ones each time.
EXAMPLES = os.environ.get("AUDITDB_ORACLE_EXAMPLES")
SETTINGS = settings(
    max_examples=int(EXAMPLES or 60),
    stateful_step_count=30,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

WRITTEN = [name for name in TABLES if name != "accounts"]
LINKS = ["license_features", "user_permission_template_permissions"]
ACTORS = (
    Actor("platform_user", "7", "ana@x.example", {"request_id": "r-1"}),
    Actor("api_key", "k/1", None, {"ip": "::1", "reason": 'say "so"'}),
    Actor("système", "", "\u2028", None),
)
# How the writers' sessions differ from each other and from the readers'.
HABITS = (
    "set timezone = 'America/St_Johns'; set intervalstyle = iso_8601; set datestyle = 'SQL, DMY'",
    "set intervalstyle = sql_standard; set search_path = licensing; set bytea_output = escape",
)


@dataclass(frozen=True, slots=True)
class Picture:
    """What one session ought to see: its tables, its actor, and what it wrote to the log."""

    tables: Tables
    actor: Actor
    entries: tuple[Entry, ...] = ()


class Session:
    """One connection, what it ought to see now, and what it can go back to."""

    def __init__(
        self, connection: psycopg.Connection, habits: str, picture: Picture, first_id: int
    ) -> None:
        self.connection = connection
        self.connection.execute(habits)
        self.statements = Statements(itertools.count(first_id))
        self.now = picture
        self.saved: list[Picture] = []  # at begin, then at each savepoint

    @property
    def is_open(self) -> bool:
        """Whether a transaction is going on."""
        return bool(self.saved)


def entry(row: LogRow) -> Entry:
    """Return what a row of the log says."""
    return Entry(
        account=row.account_id,
        action=row.action,
        item=row.item,
        label=row.item_label,
        parent=row.parent,
        is_cascade=row.is_cascade,
        changes=row.changes,
        actor=Actor(row.actor_type, row.actor_id, row.actor_label, row.context),
    )


def assert_same(rows: Sequence[LogRow], expected: Sequence[Entry], after: str) -> None:
    """Fail unless the rows say what is expected, as often, in any order."""
    written, owed = Counter(str(entry(row)) for row in rows), Counter(map(str, expected))
    if written != owed:
        missing = "".join(f"\n  {line}" for line in (owed - written).elements())
        surplus = "".join(f"\n  {line}" for line in (written - owed).elements())
        pytest.fail(f"after {after}\nthe log lacks:{missing}\nand has instead:{surplus}")


class Platform(RuleBasedStateMachine):
    """Two sessions, each with accounts of its own, on a database that holds a small platform."""

    def __init__(self, database: AbstractContextManager[str], pictures: Sequence[Picture]) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        url = self.cleanup.enter_context(database)
        self.observer, *writers = (
            self.cleanup.enter_context(closing(psycopg.connect(url, autocommit=True)))
            for _ in range(3)
        )
        self.observer.execute("set timezone = 'UTC'")
        self.sessions = [
            Session(writer, habits, picture, 1000 * number)
            for number, (writer, habits, picture) in enumerate(
                zip(writers, HABITS, pictures, strict=True), start=1
            )
        ]
        self.start = self.mark = newest(self.observer)
        self.committed: list[Entry] = []
        self.is_sound = True
        self.had_truncate = False

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Leave out the last checks after a failed one, whose report they would hide."""
        self.is_sound = False
        yield
        self.is_sound = True

    def write(self, session: Session, statement: Statement | None, draw: Draw) -> None:
        """Run a statement, and compare what is new in the log with what it owes."""
        if statement is None:
            return
        with self.judged():
            if statement.is_refused:
                self._be_refused(session, statement)
                owed = []
            else:
                statement.run(session.connection, prepare=draw(st.booleans()))
                owed = predict(session.now.tables, statement.effects, session.now.actor)
            rows = new_log(session.connection, self.mark)
            assert_same(rows, owed, statement.sql)
            self.mark = max([self.mark, *(row.id for row in rows)])
            session.now = replace(
                session.now,
                tables=apply(session.now.tables, statement.effects),
                entries=(*session.now.entries, *owed),
            )
            if not session.is_open:
                self._settle(session)

    def _be_refused(self, session: Session, statement: Statement) -> None:
        """Run a statement that breaks a foreign key."""
        if session.is_open:
            session.connection.execute("savepoint before_error")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            statement.run(session.connection)
        if session.is_open:
            session.connection.execute("rollback to savepoint before_error")

    def _settle(self, session: Session) -> None:
        """Note that the session's entries are committed."""
        self.committed += session.now.entries
        session.now = replace(session.now, entries=())

    def _assert_own(self, session: Session, after: str) -> None:
        """Compare all that the session's transaction wrote with what is left of it."""
        tx = value(session.connection, "select txid_current()")
        rows = [row for row in new_log(session.connection, self.start) if row.tx == tx]
        assert_same(rows, session.now.entries, after)

    def _end(self, session: Session, statements: Sequence[str], *, is_commit: bool) -> None:
        """End a transaction, and see what others see of it now."""
        with self.judged():
            tx = value(session.connection, "select txid_current()")
            for statement in statements:
                session.connection.execute(statement)
            rows = [row for row in new_log(self.observer, self.start) if row.tx == tx]
            assert_same(rows, session.now.entries if is_commit else (), " ".join(statements))
        if is_commit:
            session.now = replace(session.now, actor=database_actor(session.connection))
            self._settle(session)
        else:
            session.now = session.saved[0]
        session.saved.clear()

    @rule(data=st.data(), number=st.integers(0, 1), name=st.sampled_from(WRITTEN))
    def insert(self, data: st.DataObject, number: int, name: str) -> None:
        session = self.sessions[number]
        statement = session.statements.insert(data.draw, session.now.tables, name)
        self.write(session, statement, data.draw)

    @rule(data=st.data(), number=st.integers(0, 1), name=st.sampled_from(WRITTEN))
    def update(self, data: st.DataObject, number: int, name: str) -> None:
        session = self.sessions[number]
        statement = session.statements.update(data.draw, session.now.tables, name)
        self.write(session, statement, data.draw)

    @rule(data=st.data(), number=st.integers(0, 1), name=st.sampled_from(WRITTEN))
    def update_each(self, data: st.DataObject, number: int, name: str) -> None:
        session = self.sessions[number]
        statement = session.statements.update_each(data.draw, session.now.tables, name)
        self.write(session, statement, data.draw)

    @rule(data=st.data(), number=st.integers(0, 1), name=st.sampled_from(WRITTEN))
    def upsert_or_merge(self, data: st.DataObject, number: int, name: str) -> None:
        session = self.sessions[number]
        statement = session.statements.mixed(data.draw, session.now.tables, name)
        self.write(session, statement, data.draw)

    @rule(data=st.data(), number=st.integers(0, 1), name=st.sampled_from(WRITTEN))
    def delete(self, data: st.DataObject, number: int, name: str) -> None:
        session = self.sessions[number]
        statement = session.statements.delete(data.draw, session.now.tables, name)
        self.write(session, statement, data.draw)

    @rule(
        data=st.data(),
        number=st.integers(0, 1),
        first=st.sampled_from(WRITTEN),
        second=st.sampled_from(WRITTEN),
    )
    def write_twice(self, data: st.DataObject, number: int, first: str, second: str) -> None:
        session = self.sessions[number]
        statement = session.statements.pair(data.draw, session.now.tables, first, second)
        self.write(session, statement, data.draw)

    @rule(data=st.data(), number=st.integers(0, 1), name=st.sampled_from(LINKS))
    def replace_part(self, data: st.DataObject, number: int, name: str) -> None:
        session = self.sessions[number]
        statement = session.statements.replace_part(data.draw, session.now.tables, name)
        self.write(session, statement, data.draw)

    @rule(
        data=st.data(),
        number=st.integers(0, 1),
        name=st.sampled_from(WRITTEN),
        is_operational=st.booleans(),
    )
    def change_nothing(
        self, data: st.DataObject, number: int, name: str, is_operational: bool
    ) -> None:
        session = self.sessions[number]
        keys = pick(data.draw, session.now.tables, name)
        own = ", ".join(f"{column} = t.{column}" for column in TABLES[name].columns)
        running = OPERATIONAL.get(name, "updated_at = clock_timestamp()")
        statement = unchanged(name, keys, running if is_operational else own)
        self.write(session, statement if keys else None, data.draw)

    @rule(number=st.integers(0, 1))
    def begin(self, number: int) -> None:
        session = self.sessions[number]
        if not session.is_open:
            session.connection.execute("begin")
            session.saved.append(session.now)

    @rule(number=st.integers(0, 1), actor=st.sampled_from(ACTORS))
    def set_actor(self, number: int, actor: Actor) -> None:
        session = self.sessions[number]
        if session.is_open:
            session.connection.execute(
                "select audit.set_actor(%s, %s, %s, %s)",
                (actor.type, actor.id, actor.label, actor.context and Jsonb(actor.context)),
            )
            session.now = replace(session.now, actor=actor)

    @rule(number=st.integers(0, 1))
    def savepoint(self, number: int) -> None:
        session = self.sessions[number]
        if session.is_open:
            session.connection.execute(f"savepoint s{len(session.saved)}")
            session.saved.append(session.now)

    @rule(number=st.integers(0, 1), data=st.data())
    def roll_back_to_savepoint(self, number: int, data: st.DataObject) -> None:
        session = self.sessions[number]
        if len(session.saved) > 1:
            point = data.draw(st.integers(1, len(session.saved) - 1))
            with self.judged():
                session.connection.execute(f"rollback to savepoint s{point}")
                session.now = session.saved[point]
                self._assert_own(session, f"rollback to savepoint s{point}")
            del session.saved[point + 1 :]

    @rule(number=st.integers(0, 1), data=st.data())
    def release_savepoint(self, number: int, data: st.DataObject) -> None:
        session = self.sessions[number]
        if len(session.saved) > 1:
            point = data.draw(st.integers(1, len(session.saved) - 1))
            session.connection.execute(f"release savepoint s{point}")
            del session.saved[point:]

    @rule(number=st.integers(0, 1), is_prepared=st.booleans())
    def commit(self, number: int, is_prepared: bool) -> None:
        session = self.sessions[number]
        if session.is_open:
            two_phases = ("prepare transaction 'x'", "commit prepared 'x'")
            one = is_prepared and can_prepare(self.observer)
            self._end(session, two_phases if one else ("commit",), is_commit=True)

    @rule(number=st.integers(0, 1), is_prepared=st.booleans())
    def roll_back(self, number: int, is_prepared: bool) -> None:
        session = self.sessions[number]
        if session.is_open:
            two_phases = ("prepare transaction 'x'", "rollback prepared 'x'")
            one = is_prepared and can_prepare(self.observer)
            self._end(session, two_phases if one else ("rollback",), is_commit=False)

    @precondition(lambda self: not (self.had_truncate or any(s.is_open for s in self.sessions)))
    @rule(name=st.sampled_from(WRITTEN), is_commit=st.booleans(), data=st.data())
    def truncate(self, name: str, is_commit: bool, data: st.DataObject) -> None:
        if data.draw(st.integers(0, 3)) < 3:
            return
        self.had_truncate = is_commit
        session = self.sessions[0]
        names = truncated(name)
        with self.judged():
            session.connection.execute("begin")
            session.connection.execute(f"truncate licensing.{name} cascade")
            owed = truncation(names, session.now.actor)
            assert_same(new_log(session.connection, self.mark), owed, f"truncate {name}")
            session.connection.execute("commit" if is_commit else "rollback")
            owed = owed if is_commit else []
            assert_same(new_log(self.observer, self.mark), owed, f"truncate {name}, settled")
            self.mark = newest(self.observer)
        if is_commit:
            self.committed += owed
            for one in self.sessions:
                tables = {**one.now.tables, **{name: {} for name in names}}
                one.now = replace(one.now, tables=tables)

    def teardown(self) -> None:
        with self.cleanup:
            if self.is_sound:
                self._judge_all()

    def _judge_all(self) -> None:
        """Compare the whole log, the tables, and the tables that the log makes."""
        for session in self.sessions:
            if session.is_open:
                self._end(session, ("commit",), is_commit=True)
        assert_same(new_log(self.observer, self.start), self.committed, "all")
        for name, subject in TABLES.items():
            pictured = [row for s in self.sessions for row in s.now.tables[name].values()]
            rows = [
                {column: row[column] for column in (*subject.columns, *subject.unaudited)}
                for row in stored(self.observer, name)
            ]
            assert sorted(map(text, rows)) == sorted(map(text, pictured)), name
        assert_replays(self.observer, new_log(self.observer))


def database_actor(connection: psycopg.Connection) -> Actor:
    """Return who acts where nobody was set."""
    return Actor("database", connection.info.user)


def can_prepare(connection: psycopg.Connection) -> bool:
    """Return whether the server takes two-phase transactions."""
    return bool(value(connection, "select current_setting('max_prepared_transactions') <> '0'"))


def platforms(url: str) -> list[Picture]:
    """Write one small platform for each session, and return the pictures of them."""
    pictures: list[Picture] = []
    with psycopg.connect(url) as connection:
        actor = database_actor(connection)
        for first in (1, 101):
            tables: Tables = {name: {} for name in TABLES}
            for name, rows in small_platform(first).items():
                statement = added(name, rows, "select")
                mark = newest(connection)
                statement.run(connection)
                owed = predict(tables, statement.effects, actor)
                assert_same(new_log(connection, mark), owed, statement.sql)
                tables = apply(tables, statement.effects)
            pictures.append(Picture(tables, actor))
    return pictures


def small_platform(a: int) -> dict[str, list[dict[str, object]]]:
    """Return rows of every table, with ids from `a` on."""
    b = a + 1
    mine = {"account_id": a}
    return {
        "accounts": [{"id": a, "name": "A"}, {"id": b, "name": "B"}],
        "platform_users": [{"id": i, "email": f"u{i}@x.example"} for i in (a, b)],
        "memberships": [{"account_id": i, "platform_user_id": a} for i in (a, b)],
        "user_permission_templates": [{"id": a, **mine, "name": "T"}],
        "user_permission_template_permissions": [{"template_id": a, "resource": "a/b"}],
        "notification_policies": [{"id": a, **mine, "event_type": "e", "recipients": ["x"]}],
        "products": [{"id": i, **mine, "name": "P", "code": f"P{i}"} for i in (a, b)],
        "product_features": [
            {"id": a, "product_id": a, "code": "F1"},
            {"id": b, "product_id": a, "code": "a/b"},
        ],
        "product_custom_fields": [{"id": a, "product_id": a, "name": "x~y"}],
        "customers": [{"id": i, **mine, "email": f"c{i}@x.example"} for i in (a, b)],
        "orders": [{"id": i, **mine, "customer_id": a, "reference": "R"} for i in (a, b)],
        "license_users": [{"id": i, **mine, "email": f"l{i}@x.example"} for i in (a, b)],
        "order_managers": [{"order_id": a, "license_user_id": i} for i in (a, b)],
        "licenses": [
            {
                "id": i,
                **mine,
                "product_id": a,
                "order_id": a,
                "customer_id": b,
                "license_key": f"AAAA-{i:04}",
            }
            for i in (a, b)
        ],
        "license_features": [{"license_id": a, "product_feature_id": i} for i in (a, b)],
        "license_custom_fields": [{"id": a, "license_id": a, "product_custom_field_id": a}],
        "license_user_assignments": [{"license_id": a, "license_user_id": i} for i in (a, b)],
        "devices": [
            {"id": i, "license_id": a, "license_user_id": b, "hardware_id": f"h{i}"} for i in (a, b)
        ],
    }


@contextmanager
def cloned(server: Server, name: str, template: str) -> Iterator[str]:
    """Give the URL of a copy of a database that goes in the end."""
    server.execute("create database {} template {}", name, template)
    try:
        yield server.url(name)
    finally:
        server.execute("drop database {} with (force)", name)


def test_the_log_holds_what_the_oracle_says(server: Server, template: str) -> None:
    with cloned(server, f"{template}_small", template) as small:
        pictures = platforms(small)
        run = partial(cloned, server, f"{template}_run", f"{template}_small")
        run_state_machine_as_test(lambda: Platform(run(), pictures), settings=SETTINGS)
