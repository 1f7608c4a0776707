"""Random DDL between random writes, run beside a twin without the log, and judged step by step.

Every statement is run in two databases: one with the log, one without it. What a statement does in
the one it has to do in the other; and what a write changed in a tracked table, found by reading it
before and after, is what the log owes, no more and no less.
"""

import re
from collections import Counter
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from tests.support.ddl_model import Log, Picture, Table, Tracked, owed, picture, read_tables

SETUP = """
create schema s1; create schema s2; create schema fuzz;
create function fuzz.touch() returns trigger language plpgsql as $$
begin
  return jsonb_populate_record(new, jsonb_build_object('a', 7));
end $$;
create function fuzz.pass() returns trigger language plpgsql as $$
begin
  return coalesce(new, old);
end $$;
create type s1.mood as enum ('a', 'b');
create domain s1.pos as int;
create type s1.kind as (id int, tag int, a int, b text);
create table t0 (id int primary key, tag int not null, a int, b text, m s1.mood, p s1.pos);
create table s1.t1 (id int primary key, tag int not null,
  t0 int references t0 on delete cascade on update cascade, a int, b varchar);
create table t2 (k int, tag int not null, a int, b text, primary key (k, tag))
  partition by range (k);
create table p1 partition of t2 for values from (0) to (10);
create table p2 partition of t2 for values from (10) to (20);
create table p3 partition of t2 for values from (20) to (2000);
create table t3 of s1.kind (primary key (id));
create table s2.t4 (id int primary key, tag int not null, up int references s2.t4 on delete cascade,
  z timestamptz, n numeric, ms s1.mood[]);
"""
HABITS = (
    "set timezone = 'UTC'",
    "set timezone = 'America/St_Johns'; set datestyle = 'ISO, DMY'; set search_path = s2, public",
)
EVENTS = ("audit_before_ddl", "audit_after_ddl", "audit_after_drop")
UNFOLLOWED = "".join(f"drop event trigger if exists {name}; " for name in EVENTS)
# What a hint says to run.
COMMAND = re.compile(r"(select audit\.\w+\('(?:[^']|'')*'\);|alter table \S+ add primary key)")
HIERARCHY = ("attach", "inherit", "make_partition")


class Fault(AssertionError):
    """What the log, or a database with it, did wrong."""


class Place(Protocol):
    """Where databases are, and how they are dumped and restored."""

    def url(self, database: str) -> str: ...

    def restored(self, database: str, way: str) -> str:
        """Return the name of a copy of a database, made in one of the `WAYS`."""
        ...


WAYS = ("whole", "sections", "text", "halves")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, which the log's database and its twin run, or the former alone."""

    kind: str
    session: int
    sql: str

    @property
    def is_ours(self) -> bool:
        return self.kind.startswith("audit ")

    def __str__(self) -> str:
        return f"{self.session} {self.kind}: {self.sql}"


@dataclass(slots=True)
class State:
    """What a rollback takes back."""

    tracked: dict[int, Tracked] = field(default_factory=dict)
    is_followed: bool = True


class Run:
    """One fuzz: its databases, what is tracked, and what was done."""

    def __init__(self, place: Place, names: tuple[str, str], owner: str) -> None:
        self.place = place
        self.name, self.twin_name = names
        self.owner = owner
        self.state = State()
        self.saved: State | None = None  # while a transaction is open
        self.log = Log()
        self.done: list[Step] = []
        self.counts: Counter[str] = Counter()
        self.sessions: list[psycopg.Connection] = []
        self._open = ExitStack()
        self.twins = [self._connect(self.twin_name, habit) for habit in HABITS]

    def __enter__(self) -> "Run":
        self.open()
        for conn in (self.sessions[0], self.twins[0]):
            conn.execute(SETUP)
            conn.execute(f"grant usage, create on schema public, s1, s2 to {self.owner}".encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _connect(self, name: str, habit: str) -> psycopg.Connection:
        conn = psycopg.connect(self.place.url(name), autocommit=True)
        self._open.enter_context(closing(conn))
        conn.execute(habit.encode())
        return conn

    def open(self) -> None:
        """Open the sessions of the log's database."""
        self.sessions = [self._connect(self.name, habit) for habit in HABITS]

    def do(self, step: Step) -> None:
        """Run a step, and judge what came of it."""
        self.done.append(step)
        self.counts[step.kind] += 1
        if step.kind == "restore":
            self._restore(step.sql)
        elif step.kind in ("begin", "commit", "rollback"):
            self._control(step)
        elif step.is_ours:
            self._do_ours(step)
        else:
            self._do_both(step)
        self._follow()

    def _control(self, step: Step) -> None:
        if (step.kind == "begin") != (self.saved is None):
            return  # a step before was left out
        errors = [attempt(c, step.kind) for c in (self.sessions[0], self.twins[0])]
        if not same(*errors):
            raise Fault(f"{step.kind}: {told(errors[0])} but the twin: {told(errors[1])}")
        if step.kind == "begin":
            self.saved = deepcopy(self.state)
        else:
            if self.saved is not None and (step.kind == "rollback" or errors[0]):
                self.state = self.saved
            self.saved = None
        rows = self.log.new(self.sessions[0])
        if rows:
            raise Fault(f"{step.kind} wrote {rows}")

    def _do_ours(self, step: Step) -> None:
        """Run what the twin knows nothing of."""
        conn = self.sessions[step.session]
        error = attempt(conn, step.sql)
        if error is not None:
            self.counts[f"{step.kind} refused"] += 1
            if error.sqlstate not in ("UA001", "UA005") or not error.diag.message_hint:
                raise Fault(f"refused without a way out: {told(error)}")
        elif step.kind in ("audit follow", "audit unfollow", "audit forsake"):
            self.state.is_followed = step.kind == "audit follow"
        rows = self.log.new(conn)
        if rows:
            raise Fault(f"wrote {rows}")
        for command, oid in re.findall(r"select audit\.(track|untrack)\('(\S+?)'", step.sql):
            if error is None:
                self._settle(conn, command, oid, step)

    def _settle(self, conn: psycopg.Connection, command: str, name: str, step: Step) -> None:
        for found in read_tables(conn):
            if name not in (found.sql, f"{found.schema}.{found.name}"):
                continue
            if command == "untrack":
                self.state.tracked.pop(found.oid, None)
            else:
                item_type = str(re.findall(r"item_type => '(\w+)'", step.sql)[0])
                self.state.tracked[found.oid] = Tracked(item_type, found.key)

    def _follow(self) -> None:
        """Look what keys the tracked tables have now, and which are gone."""
        tables = {table.oid: table for table in read_tables(self.sessions[0])}
        for oid in self.state.tracked.keys() - tables.keys():
            del self.state.tracked[oid]
        for oid, tracked in self.state.tracked.items():
            tracked.key = tables[oid].key or tracked.key

    def _do_both(self, step: Step) -> bool:
        """Run what both know; return whether it was done, or failed as it does without the log."""
        conn, twin = self.sessions[step.session], self.twins[step.session]
        start(twin, is_open=self.saved is not None)
        theirs = run(twin, step.sql)
        if theirs is None and self.saved is None:
            theirs = run(twin, "set constraints all immediate")
        before = self._pictures(conn)
        error = attempt(conn, step.sql)
        for _ in range(4):
            if error is None or same(error, theirs):
                break
            way_out = self._mend(step, conn, error, theirs)
            if way_out is not None:
                end(twin, keep=False, is_open=self.saved is not None)
                is_mended = way_out != "" and self._do_both(Step("add_key", step.session, way_out))
                return is_mended and theirs is None and self._do_both(step)
            before = self._pictures(conn)
            error = attempt(conn, step.sql)
        if not same(error, theirs):
            raise Fault(f"{told(error)} but the twin: {told(theirs)}")
        ends = end(twin, keep=theirs is None, is_open=self.saved is not None)
        if ends is not None:
            raise Fault(f"the twin could not commit: {told(ends)}")
        self._judge(step, conn, before, error)
        self._follow()
        return error is None

    def _mend(
        self,
        step: Step,
        conn: psycopg.Connection,
        error: psycopg.Error,
        theirs: psycopg.Error | None,
    ) -> str | None:
        """Do what the hint of an error says; return what both have to do, "" if nothing helps."""
        state, hint = error.sqlstate or "", error.diag.message_hint or ""
        self.counts[f"{state} {step.kind}"] += 1
        # One that came to be while nothing followed DDL is refused with whatever comes next.
        is_refused = state == "UA001" and "audit.untrack(" in hint
        if is_refused or (step.kind in HIERARCHY and "_audit_alone" in str(error)):
            return ""
        command = COMMAND.search(hint)
        if state == "UA003" and command is not None:
            if self.state.is_followed and "add primary key" not in command[1]:
                raise Fault(f"although event triggers follow: {told(error)}")
            way_out = self._obey(conn, command[1])
            self._follow()
            return way_out
        raise Fault(f"{told(error)} but the twin: {told(theirs)}")

    def _obey(self, conn: psycopg.Connection, command: str) -> str | None:
        """Run what a hint says, and what the hint of that says; return what is for both."""
        for _ in range(3):
            if "add primary key" in command:
                return f"{command} (tag)"
            error = attempt(conn, command)
            self.counts["hints followed"] += 1
            if error is None:
                for name in re.findall(r"audit\.untrack\('(\S+)'\)", command):
                    self._settle(conn, "untrack", name.replace("''", "'"), Step("", 0, ""))
                return None
            found = COMMAND.search(error.diag.message_hint or "")
            if found is None:
                raise Fault(f"{command}: {told(error)}")
            command = found[1]
        raise Fault(f"hints lead in a circle: {command}")

    def _pictures(self, conn: psycopg.Connection) -> dict[int, tuple[Table, Picture]]:
        return {
            table.oid: (table, picture(conn, table))
            for table in read_tables(conn)
            if table.oid in self.state.tracked
        }

    def _judge(
        self,
        step: Step,
        conn: psycopg.Connection,
        before: dict[int, tuple[Table, Picture]],
        error: psycopg.Error | None,
    ) -> None:
        rows = self.log.new(conn)
        debt: Counter[str] = Counter()
        if step.kind == "write" and error is None:
            for oid, (table, after) in self._pictures(conn).items():
                tracked = self.state.tracked[oid]
                names = table.names(tracked.key)
                changes = (
                    list(owed(tracked, names, before[oid][1], after))
                    if names
                    else ["no key"] * (before[oid][1] != after)
                )
                debt.update(changes)
            self.counts["rows of the log"] += sum(debt.values())
        if rows != debt:
            lacks = "".join(f"\n  {line}" for line in (debt - rows).elements())
            has = "".join(f"\n  {line}" for line in (rows - debt).elements())
            raise Fault(f"the log lacks:{lacks}\nand has instead:{has}")
        if step.kind == "write":
            self._judge_cascades(conn, step.sql)
            self.compare(step.session)

    def _judge_cascades(self, conn: psycopg.Connection, sql: str) -> None:
        """Fail where a row that went with its parent is said to have gone alone, or reversed."""
        aimed = [t for t in read_tables(conn) if sql.startswith(f"delete from {t.sql} ")]
        if not aimed:
            return
        (target,) = aimed
        one = self.state.tracked.get(target.oid)
        (has_cascade,) = conn.execute(
            "select exists (select from pg_constraint where conrelid = %s and contype = 'f'"
            " and confdeltype = 'c')",
            [target.oid],
        ).fetchone() or (True,)
        for item_type, is_cascade in self.log.deleted:
            if one is None or item_type != one.item_type:
                # What goes with a partition's row goes with it, and the table may be untracked.
                is_right = is_cascade or target.is_partition
            else:
                is_right = not is_cascade or has_cascade
            if not is_right:
                raise Fault(f"of {item_type}, is_cascade is {is_cascade}")

    def compare(self, session: int) -> None:
        """Fail unless both databases hold the same."""
        here, there = (
            {t.sql: (t, c) for t in read_tables(c)}
            for c in (self.sessions[session], self.twins[session])
        )
        if here.keys() != there.keys():
            raise Fault(f"tables differ: {here.keys() ^ there.keys()}")
        for name, (table, conn) in here.items():
            other, twin = there[name]
            if picture(conn, table, drawn=False) != picture(twin, other, drawn=False):
                raise Fault(f"{name} does not hold what it does without the log")

    def look_over(self) -> None:
        """Fail unless refresh and check are content."""
        conn = self.sessions[0]
        error = attempt(conn, "select audit.refresh()")
        if error is not None:
            raise Fault(f"refresh: {told(error)}")
        found = conn.execute(
            "select finding, object, message, mend from audit.check() where severity = 'error'"
        ).fetchall()
        broken = self._broken(read_tables(conn))
        wrong = [
            row
            for row in found
            if not (row[0].startswith("event_trigger_") and not self.state.is_followed)
            and row[1] not in broken
        ]
        if wrong:
            raise Fault(f"check: {wrong}")

    def _broken(self, tables: list[Table]) -> set[str]:
        """Return the tables to which every write fails: of a hierarchy, or without their key."""
        return {
            table.sql.replace('"', "")
            for table in tables
            if (tracked := self.state.tracked.get(table.oid)) is not None
            and (
                table.names(tracked.key) is None
                or (
                    table.kind == "r"
                    and (
                        table.parent is not None
                        or any(child.parent == table.oid for child in tables)
                    )
                )
            )
        }

    def _restore(self, way: str) -> None:
        if self.saved is not None:
            return
        items = {t.sql: self.state.tracked.get(t.oid) for t in read_tables(self.sessions[0])}
        keys = {
            t.sql: t.names(one.key)
            for t in read_tables(self.sessions[0])
            if (one := self.state.tracked.get(t.oid)) is not None
        }
        for conn in self.sessions:
            conn.close()
        self.name = self.place.restored(self.name, way)
        self.open()
        conn = self.sessions[0]
        self.state.tracked = {}
        for table in read_tables(conn):
            tracked = items.get(table.sql)
            if tracked is not None:
                names = keys[table.sql] or ()
                numbers = tuple(c.number for c in table.columns if c.name in names)
                key = numbers if names else (0,)
                self.state.tracked[table.oid] = Tracked(tracked.item_type, key)
        if way == "halves":
            conn.execute("select audit.refresh()")
            mends = conn.execute(
                "select mend from audit.check() where finding in"
                " ('trigger_not_always', 'guard_disabled', 'trigger_disabled')"
            ).fetchall()
            for (mend,) in mends:
                conn.execute(mend.encode())
        self.log.new(conn)


def attempt(conn: psycopg.Connection, sql: str) -> psycopg.Error | None:
    """Run a statement, so that a transaction that is open goes on; return its error."""
    is_open = conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE
    if is_open and sql not in ("commit", "rollback"):
        conn.execute("savepoint fuzz")
    error = run(conn, sql)
    if is_open and sql not in ("commit", "rollback"):
        conn.execute("rollback to fuzz" if error else "release fuzz")
    return error


def run(conn: psycopg.Connection, sql: str) -> psycopg.Error | None:
    try:
        conn.execute(sql.encode())
    except psycopg.Error as error:
        return error
    return None


def start(twin: psycopg.Connection, *, is_open: bool) -> None:
    twin.execute("savepoint fuzz_twin" if is_open else "begin")


def end(twin: psycopg.Connection, *, keep: bool, is_open: bool) -> psycopg.Error | None:
    if is_open:
        return run(twin, "release fuzz_twin" if keep else "rollback to fuzz_twin")
    return run(twin, "commit" if keep else "rollback")


def same(one: psycopg.Error | None, other: psycopg.Error | None) -> bool:
    """Whether two statements came to the same end."""
    return (one and one.sqlstate) == (other and other.sqlstate)


def told(error: psycopg.Error | None) -> str:
    if error is None:
        return "it succeeds"
    diag = error.diag
    parts = (diag.message_primary, diag.message_detail, diag.message_hint, diag.context)
    return " | ".join([error.sqlstate or "?", *(part for part in parts if part)])
