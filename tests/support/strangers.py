"""Sessions that note with whose rights a stranger's code ran, and what a case came to."""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import CreateRole
from tests.support.hostile_tables import Form, World, number_of, seed, track
from tests.support.hostile_types import PROBE, Plant
from tests.support.servers import Server

T = TypeVar("T")

FIRED = re.compile("probe (.*) ran as (.*)")
LOOKUP_ROLE = "audit_lookup"
QUICK = ("partitioned cascade", "grouped one hop")


@dataclass(frozen=True, slots=True, order=True)
class Firing:
    """A stranger's code that ran: planted as what, with whose rights, at which moment."""

    case: str
    plant: str
    moment: str
    role: str

    def __str__(self) -> str:
        return f"{self.case}: {self.plant} ran as {self.role} at {self.moment}"


@dataclass(slots=True)
class Notes:
    """What was seen: code that ran, writes that no row of the log tells of, writes refused."""

    allowed: frozenset[str]
    case: str = ""
    moment: str = ""
    firings: set[Firing] = field(default_factory=set)
    silences: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    recorded: int = 0

    def hear(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        """Take a warning of the probe down."""
        found = FIRED.fullmatch(diagnostic.message_primary or "")
        if found:
            self.firings.add(Firing(self.case, found[1], self.moment, found[2]))

    def refuse(self, error: psycopg.Error) -> None:
        """Take down what was refused, and why."""
        self.refusals.add(f"{self.case}, {self.moment}: {error.sqlstate} {error}")

    def at(self, moment: str) -> None:
        """Say what comes now."""
        self.moment = moment

    @property
    def strangers(self) -> list[Firing]:
        """The code that ran with rights that its owner does not have."""
        return sorted(one for one in self.firings if one.role not in self.allowed)

    def seen(self, plant: str) -> bool:
        """Return whether a plant ran at all."""
        return any(one.plant == plant for one in self.firings)

    def judge(self) -> None:
        """Fail if a stranger's code ran with the log's rights, or a write left no trace."""
        wrong = [*map(str, self.strangers), *(f"{one}: not recorded" for one in self.silences)]
        if wrong:
            pytest.fail(
                f"{len(wrong)} ways, with {self.recorded} writes recorded, seed {seed()}:\n"
                + "\n".join(wrong)
            )
        assert self.recorded > 0, "no write was recorded: the cases prove nothing"


@dataclass(slots=True)
class Lair:
    """A database in which `bob` owns the tables that `postgres` has tracked."""

    server: Server
    database: str
    bob: str
    alice: str
    notes: Notes

    @contextmanager
    def session(self, user: str | None = None) -> Iterator["Session"]:
        """Open a session, as a superuser or as another user; what is not committed is undone."""
        with closing(psycopg.connect(self.server.url(self.database, user))) as connection:
            connection.add_notice_handler(self.notes.hear)
            yield Session(connection, self)

    def prepare(self) -> None:
        """Make the schema that the stranger owns."""
        with self.session() as dba:
            for statement in (
                "create schema lair authorization {0}",
                "grant usage on schema lair to public",
                "grant create on schema public to {0}",
                (
                    "create or replace function public.log_size() returns bigint language sql"
                    " security definer set search_path = pg_catalog"
                    " as 'select count(*) from audit.log'"
                ),
            ):
                dba.connection.execute(sql.SQL(statement).format(sql.Identifier(self.bob)))
            dba.become(self.bob)
            dba.run(PROBE)
            dba.become(None)
            dba.connection.commit()

    def clear(self, *, is_followed: bool) -> None:
        """Begin anew, with event triggers or without."""
        with self.session() as dba:
            dba.attempt("select audit.untrack('lair.t')")
            dba.run("set client_min_messages = error; drop schema lair cascade")
            for name in ("audit_before_ddl", "audit_after_ddl"):
                how = "enable always" if is_followed else "disable"
                dba.run(f"alter event trigger {name} {how}")
            dba.connection.commit()
        self.prepare()


@dataclass(slots=True)
class Session:
    """One connection, which a superuser's may use to act as others."""

    connection: psycopg.Connection
    lair: Lair

    def become(self, role: str | None) -> None:
        """Act as a role from now on, with nothing left of the superuser, or as oneself again."""
        self.connection.execute(
            sql.SQL("set session authorization {}").format(
                sql.Identifier(role) if role else sql.SQL("default")
            )
        )

    def run(self, statements: str) -> None:
        """Run statements that must succeed."""
        self.connection.execute(statements.encode())

    def attempt(self, statements: str, parameters: dict[str, object] | None = None) -> bool:
        """Run statements, and undo them if they fail; return whether they did not."""
        self.connection.execute("savepoint attempt")
        try:
            self.connection.execute(statements.encode(), parameters)
        except psycopg.Error as error:
            self.connection.execute("rollback to attempt")
            self.lair.notes.refuse(error)
            return False
        finally:
            self.connection.execute("release attempt")
        return True

    def record(self, statement: str, *, is_blind: bool = False) -> None:
        """Do a write, and note if it left no trace in the log.

        A blind one need not leave any: its snapshot does not see the rows that it ought to change.
        """
        notes = self.lair.notes
        before = self._log_size()
        self.connection.execute("savepoint attempt")
        try:
            written = self.connection.execute(statement.encode()).rowcount
        except psycopg.Error as error:
            self.connection.execute("rollback to attempt")
            notes.refuse(error)
            written = 0
        self.connection.execute("release attempt")
        if written > 0 and not is_blind and self._log_size() == before:
            notes.silences.add(f"{notes.case}, {notes.moment}")
        notes.recorded += written > 0

    def _log_size(self) -> int:
        """Return how many rows the log has, whoever asks."""
        row = self.connection.execute("select public.log_size()").fetchone()
        assert row is not None
        return int(row[0])

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Undo at the end whatever was done in the block."""
        self.connection.execute("savepoint undone")
        yield
        self.connection.execute("rollback to undone")
        self.connection.execute("release undone")


def track_world(dba: Session, world: World, *, is_typed: bool = True) -> bool:
    """Track the table of a world, as the superuser; return whether that was not refused."""
    declared = world.declaration(is_typed=is_typed)
    return dba.attempt(track(declared), declared)


def write(
    dba: Session, world: World, writer: str, moment: str = "", *, parent: str = "par"
) -> None:
    """Do a world's writes as `writer`, note those that left no trace, and undo them."""
    notes = dba.lair.notes
    with dba.undone(), as_role(dba, writer):
        for name, statement in world.writes(parent):
            notes.moment = f"{name}{moment}"
            dba.record(statement)


def build(dba: Session, world: World, *, is_typed: bool = True, is_tracked: bool = True) -> bool:
    """Make the tables of a world and track them; return whether they are tracked."""
    with as_role(dba, dba.lair.bob):
        dba.run(world.tables())
        dba.run(f'grant all on all tables in schema lair to "{dba.lair.alice}"')
    dba.lair.notes.case = str(world)
    dba.lair.notes.moment = "track"
    return not is_tracked or track_world(dba, world, is_typed=is_typed)


def plant(dba: Session, planted: Plant) -> None:
    """Make what the stranger makes."""
    dba.lair.notes.moment = f"making of {planted.name}"
    with as_role(dba, dba.lair.bob):
        dba.run(planted.statements)


def follow(dba: Session, statement: str) -> bool:
    """Run DDL after which tables are compiled anew; return whether it was not refused."""
    dba.lair.notes.moment = statement
    if "audit." in statement:
        return dba.attempt(statement)
    with as_role(dba, dba.lair.bob):
        return dba.attempt(statement)


@contextmanager
def as_role(dba: Session, role: str) -> Iterator[None]:
    """Let a superuser's session act as a role in the block."""
    dba.become(role)
    yield
    dba.become(None)


def spread(options: Iterable[T], share: int, *key: object) -> list[T]:
    """Return every `share`-th of the options, at least one; which ones depends on the key."""
    every = list(options)
    return every[number_of(*key) % min(share, len(every)) :: share] if every else []


def quickly(form: Form) -> tuple[pytest.MarkDecorator, ...]:
    """Return the marks of a form's tests: two forms stand for all where time is short."""
    return (pytest.mark.quick,) if str(form) in QUICK else ()


def lair_of(server: Server, url: str, create_role: CreateRole) -> Lair:
    """Return a database with a stranger in it, and somebody else who writes his tables."""
    bob, alice = create_role(), create_role()
    name = str(conninfo_to_dict(url)["dbname"])
    lair = Lair(server, name, bob, alice, Notes(frozenset({bob, alice, LOOKUP_ROLE})))
    lair.prepare()
    return lair


def alone(lair: Lair, statement: str, user: str | None = None, *, is_write: bool = False) -> bool:
    """Run a statement in a session of its own, and commit; return whether it was not refused."""
    lair.notes.at(statement if len(statement) < 80 else "plant")
    with lair.session(user) as session:
        session.run("set constraint_exclusion = on")
        if is_write:
            session.record(statement)
            done = True
        else:
            done = session.attempt(statement)
        session.connection.commit()
    return done


def write_alone(lair: Lair, world: World) -> None:
    """Do each write of a world in a session of its own."""
    for name, statement in world.writes():
        user = world.pick((lair.bob, lair.alice), name, "writer")
        alone(lair, statement, user, is_write=True)
    lair.notes.at("clean-up")
    with lair.session(lair.bob) as session:
        session.run("delete from lair.t where spare <> 'r0'")
        session.connection.commit()


def settle(lair: Lair, world: World, plants: Iterable[Plant], *, is_planted_first: bool) -> bool:
    """Make a world and its plants, all committed; return whether its table is tracked."""
    lair.notes.case = str(world)
    with lair.session() as dba:
        build(dba, world, is_tracked=False)
        dba.connection.commit()
    for planted in plants if is_planted_first else ():
        alone(lair, planted.statements, lair.bob)
    lair.notes.at("track")
    with lair.session() as dba:
        tracked = track_world(dba, world)
        dba.connection.commit()
    for planted in () if is_planted_first else plants:
        alone(lair, planted.statements, lair.bob)
    return tracked
