"""Random statements of two sessions: after each, the log holds what the oracle says, no more."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

from tests.conftest import Connect
from tests.support.core_tables import TABLES, Tables
from tests.support.core_values import OPERATIONAL, is_leaf, small_platform
from tests.support.effort import sized
from tests.support.helpers import LogRow, new_log, newest, value
from tests.support.oracle import Actor, Entry, apply, predict, text, truncated, truncation
from tests.support.replay import assert_replays, stored
from tests.support.statements import Draw, Statement, Statements, added, pick, unchanged

pytestmark = pytest.mark.slow

# The same runs every time; with AUDITDB_ORACLE_EXAMPLES as many as it says, new ones each time.
EXAMPLES = os.environ.get("AUDITDB_ORACLE_EXAMPLES")
SETTINGS = settings(
    max_examples=int(EXAMPLES or sized(120, 400)),
    stateful_step_count=50,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

WRITTEN = [name for name in TABLES if name != "accounts"]
# Tables with actions of their own for some columns: written more often than the others.
LIVELY = [name for name in WRITTEN if TABLES[name].claims] * 3
PARENTS = [name for name in WRITTEN if not is_leaf(name)]
WRITES = {
    "insert": 3,
    "update": 4,
    "update_each": 3,
    "mixed": 3,
    "write_twice": 2,
    "replace_part": 1,
    "change_nothing": 2,
    "delete": 2,
    "delete_parent": 3,
}
CONTROLS = {
    "begin": 3,
    "set_actor": 2,
    "savepoint": 2,
    "rollback to": 1,
    "release": 1,
    "commit": 1,
    "rollback": 1,
    "truncate": 1,
}
# What can be done, the more often the greater its number.
DEEDS = [deed for deed, weight in (WRITES | CONTROLS).items() for _ in range(weight)]
LINKS = ["license_features", "user_permission_template_permissions"]
ACTORS = (
    Actor("platform_user", "7", "ana@x.example", {"request_id": "r-1"}),
    Actor("api_key", "k/1", None, {"ip": "::1", "reason": 'say "so"'}),
    Actor("système", " ", "\u2028", None),
)
# How the sessions of the one who looks on and of the two who write differ.
HABITS = (
    "set timezone = 'UTC'",
    "set timezone = 'America/St_Johns'; set intervalstyle = iso_8601; set datestyle = 'ISO, DMY'",
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

    def __init__(self, connection: psycopg.Connection, picture: Picture, first_id: int) -> None:
        self.connection = connection
        self.statements = Statements(itertools.count(first_id))
        self.now = picture
        self.saved: list[Picture] = []  # at begin, then at each savepoint

    @property
    def is_open(self) -> bool:
        """Whether a transaction is going on."""
        return bool(self.saved)

    def begin(self, actor: Actor | None) -> None:
        """Open a transaction, for an actor if there is one."""
        self.connection.execute("begin")
        self.saved.append(self.now)
        if actor is not None:
            self.act_as(actor)

    def act_as(self, actor: Actor) -> None:
        """Tell the database who acts from now on."""
        context = actor.context and Jsonb(actor.context)
        parameters = (actor.type, actor.id, actor.label, context)
        self.connection.execute("select audit.set_actor(%s, %s, %s, %s)", parameters)
        self.now = replace(self.now, actor=actor)


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

    # One who looks on, and two who write: open all along, as connections of a pool are.
    observer: ClassVar[psycopg.Connection]
    writers: ClassVar[Sequence[psycopg.Connection]]

    def __init__(self) -> None:
        super().__init__()
        clear(self.observer)
        self.start = newest(self.observer)
        pictures = platforms(self.observer)
        self.mark = newest(self.observer)
        self.sessions = [
            Session(writer, picture, first_id)
            for writer, picture, first_id in zip(self.writers, pictures, (1000, 2000), strict=True)
        ]
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

    def _end(self, session: Session, *, is_commit: bool, is_prepared: bool) -> None:
        """End a transaction, in one phase or two, and see what others see of it now."""
        end = "commit" if is_commit else "rollback"
        with self.judged():
            tx = value(session.connection, "select txid_current()")
            if is_prepared and can_prepare(self.observer):
                session.connection.execute(f"prepare transaction 'auditdb {tx}'")
                end += f" prepared 'auditdb {tx}'"
            session.connection.execute(end)
            rows = [row for row in new_log(self.observer, self.start) if row.tx == tx]
            assert_same(rows, session.now.entries if is_commit else (), end)
        if is_commit:
            session.now = replace(session.now, actor=session.saved[0].actor)
            self._settle(session)
        else:
            session.now = session.saved[0]
        session.saved.clear()

    @rule(
        data=st.data(),
        number=st.integers(0, 1),
        deed=st.sampled_from(DEEDS),
        name=st.sampled_from(WRITTEN + LIVELY),
    )
    def act(self, data: st.DataObject, number: int, deed: str, name: str) -> None:
        """Do one thing in one of the sessions; a name of a table is for what needs one."""
        session = self.sessions[number]
        if deed in WRITES:
            self.write(session, self._statement(data.draw, session, deed, name), data.draw)
        elif deed == "truncate":
            self._truncate(name, is_commit=data.draw(st.booleans()))
        elif deed == "begin" and not session.is_open:
            session.begin(data.draw(st.sampled_from((None, *ACTORS))))
        elif session.is_open:
            self._transact(data.draw, session, deed)

    def _statement(self, draw: Draw, session: Session, deed: str, name: str) -> Statement | None:
        """Draw a statement of the kind asked for, or an insert where there is nothing to change."""
        tables, statements = session.now.tables, session.statements
        statement = None
        if deed in ("update", "update_each", "mixed", "delete"):
            statement = getattr(statements, deed)(draw, tables, name)
        elif deed == "delete_parent":
            statement = statements.delete(draw, tables, draw(st.sampled_from(PARENTS)))
        elif deed == "replace_part":
            statement = statements.replace_part(draw, tables, draw(st.sampled_from(LINKS)))
        elif deed == "write_twice":
            statement = statements.pair(draw, tables, name, draw(st.sampled_from(WRITTEN)))
        elif deed == "change_nothing" and tables[name]:
            own = ", ".join(f"{column} = t.{column}" for column in TABLES[name].columns)
            running = OPERATIONAL.get(name, "updated_at = clock_timestamp()")
            statement = unchanged(
                name, pick(draw, tables, name), draw(st.sampled_from((own, running)))
            )
        return statement or statements.insert(draw, tables, name)

    def _transact(self, draw: Draw, session: Session, deed: str) -> None:
        """Go on with a transaction, or end it."""
        if deed == "set_actor":
            session.act_as(draw(st.sampled_from(ACTORS)))
        elif deed == "savepoint":
            session.connection.execute(f"savepoint s{len(session.saved)}")
            session.saved.append(session.now)
        elif deed in ("release", "rollback to") and len(session.saved) > 1:
            self._end_savepoint(session, deed, draw(st.integers(1, len(session.saved) - 1)))
        elif deed in ("commit", "rollback"):
            self._end(session, is_commit=deed == "commit", is_prepared=draw(st.booleans()))

    def _end_savepoint(self, session: Session, deed: str, number: int) -> None:
        """Release a savepoint or go back to it, and compare what is left of the transaction."""
        statement = f"{deed} savepoint s{number}"
        with self.judged():
            session.connection.execute(statement)
            if deed == "rollback to":
                session.now = session.saved[number]
            tx = value(session.connection, "select txid_current()")
            rows = [row for row in new_log(session.connection, self.start) if row.tx == tx]
            assert_same(rows, session.now.entries, statement)
        del session.saved[number + (deed == "rollback to") :]

    def _truncate(self, name: str, *, is_commit: bool) -> None:
        """Truncate a table and those that refer to it, once in a while and if nobody waits."""
        if self.had_truncate or any(session.is_open for session in self.sessions):
            return
        self.had_truncate = is_commit
        connection, actor = self.sessions[0].connection, self.sessions[0].now.actor
        names = truncated(name)
        with self.judged():
            connection.execute("begin")
            connection.execute(f"truncate licensing.{name} cascade")
            owed = truncation(names, actor)
            assert_same(new_log(connection, self.mark), owed, f"truncate {name}")
            connection.execute("commit" if is_commit else "rollback")
            owed = owed if is_commit else []
            assert_same(new_log(self.observer, self.mark), owed, f"truncate {name}, settled")
            self.mark = newest(self.observer)
        if is_commit:
            self.committed += owed
            for session in self.sessions:
                tables = {**session.now.tables, **{name: {} for name in names}}
                session.now = replace(session.now, tables=tables)

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self._judge_all()
        finally:
            for writer in self.writers:
                writer.rollback()

    def _judge_all(self) -> None:
        """Compare the whole log, the tables, and the tables that the log makes."""
        for session in self.sessions:
            if session.is_open:
                self._end(session, is_commit=True, is_prepared=False)
        log = new_log(self.observer, self.start)
        assert_same(log[len(log) - len(self.committed) :], self.committed, "all")
        for name, subject in TABLES.items():
            pictured = [row for s in self.sessions for row in s.now.tables[name].values()]
            rows = [
                {column: row[column] for column in (*subject.columns, *subject.unaudited)}
                for row in stored(self.observer, name)
            ]
            assert sorted(map(text, rows)) == sorted(map(text, pictured)), name
        assert_replays(self.observer, log)


def database_actor(connection: psycopg.Connection) -> Actor:
    """Return who acts where nobody was set."""
    return Actor("database", connection.info.user)


def can_prepare(connection: psycopg.Connection) -> bool:
    """Return whether the server takes two-phase transactions."""
    return bool(value(connection, "select current_setting('max_prepared_transactions') <> '0'"))


def clear(connection: psycopg.Connection) -> None:
    """Delete all rows, those that others refer to last."""
    for name in reversed(list(TABLES)):
        connection.execute(f"delete from licensing.{name}")


def platforms(connection: psycopg.Connection) -> list[Picture]:
    """Write one small platform for each session, and return the pictures of them."""
    pictures: list[Picture] = []
    for first in (1, 101):
        tables: Tables = {name: {} for name in TABLES}
        for name, rows in small_platform(first).items():
            statement = added(name, rows, "select")
            statement.run(connection)
            tables = apply(tables, statement.effects)
        pictures.append(Picture(tables, database_actor(connection)))
    return pictures


def test_the_log_holds_what_the_oracle_says(connect: Connect) -> None:
    onlooker, *both = (connect(autocommit=True) for _ in HABITS)
    for connection, habits in zip((onlooker, *both), HABITS, strict=True):
        connection.execute(habits)
    onlooker.execute("create index log_id_idx on audit.log (id)")  # for the reading done here

    class Run(Platform):
        observer = onlooker
        writers = both

    run_state_machine_as_test(Run, settings=SETTINGS)
    assert unmet(onlooker) == [], "the statements are too much alike to prove anything"


def unmet(connection: psycopg.Connection) -> list[str]:
    """Return the actions of the platform that are not in the log."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "select action from audit.actions where not item_types && '{log, table}'"
            " except select action from audit.log"
        ).fetchall()
