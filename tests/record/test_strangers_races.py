"""A stranger changes what a session has seen already: its snapshot, its plans, its parsed branches.

The guard of the compiled functions reads the catalogue by the transaction's snapshot, and what
stands behind it is parsed by the newest catalogue.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from psycopg import IsolationLevel

from tests.support.effort import sized
from tests.support.hostile_relations import reading_world, swaps, used_relations
from tests.support.hostile_tables import FORMS, World, slots_of
from tests.support.hostile_types import COMPOSITE, DOMAIN, ENUM, KINDS, TEXT, Kind, Plant, plants_of
from tests.support.strangers import Lair, Session, settle, spread

pytestmark = pytest.mark.slow

LEVELS = tuple(IsolationLevel)[1:]
# What the writer's session has done before: nothing, all, or all but what changes the column.
WARMTHS = ("fresh", "warm", "half warm")
HARMLESS = ("insert", "update of another column")
EXPRESSIONS = ("item_id", "item_label", "account", "parent_id")


@dataclass(frozen=True, slots=True)
class Race:
    """A world, what its owner does to it meanwhile, and how warm the session is that writes."""

    world: World
    planted: Plant
    changes: tuple[str, ...]
    warmth: str
    kind: Kind = TEXT

    @property
    def afterwards(self) -> World:
        """The world as its owner has made it."""
        return replace(self.world, kind=self.kind)

    def __str__(self) -> str:
        return f"{self.world}, {self.warmth} session"


def races() -> Iterator[Race]:
    """Yield all races: a column's type changes, or a table is another one under its name."""
    for form in FORMS:
        for warmth in WARMTHS:
            for slot in slots_of(form):
                world = World(form, slot)
                for kind in KINDS if slot != "lookup_key" else ():
                    for planted in plants_of(kind):
                        making, *changes = world.retype(kind)
                        if kind.source == "lair.t":
                            changes = []
                        yield Race(world, planted, (making, *changes), warmth, kind)
            world = reading_world(form)
            for relation in used_relations(world)[1:]:
                for planted in swaps(relation):
                    yield Race(world, planted, (), warmth)


def chosen(typed: int, swapped: int, *key: object) -> list[Race]:
    """Return about so many of the races that change a type, and of those that swap a table.

    One more is of a type whose casts find their way most easily.
    """
    every = list(races())
    with_type = [race for race in every if race.changes]
    easy = [
        race
        for race in with_type
        if race.planted.name == "implicit cast of composite to text"
        and race.world.slot in EXPRESSIONS
        and race.warmth == "fresh"
    ]
    others = [race for race in every if not race.changes]
    return [
        *spread(easy, len(easy), *key),
        *spread(with_type, len(with_type) // typed, *key),
        *spread(others, len(others) // swapped, *key),
    ]


def provoke(bob: Session, race: Race) -> bool:
    """Do what the stranger does, without a commit; return whether it was not refused."""
    bob.lair.notes.at(f"{race.planted.name} is made")
    making, *changes = race.changes or ("",)
    bob.run(making or "select")
    return bob.attempt(race.planted.statements) and all(map(bob.attempt, changes))


def warm_up(writer: Session, race: Race) -> None:
    """Let a session plan what it is to have planned, and undo it."""
    if race.warmth != "fresh":
        writer.lair.notes.at("warming up")
        for name, statement in race.world.writes():
            if race.warmth == "warm" or name in HARMLESS:
                writer.record(statement)
        writer.connection.rollback()


def run(lair: Lair, race: Race, level: IsolationLevel) -> None:
    """Take a snapshot, let the stranger change things, and write on."""
    with lair.session(lair.bob) as writer, lair.session(lair.bob) as bob:
        writer.connection.isolation_level = level
        warm_up(writer, race)
        writer.run("select 1 from pg_class limit 1")
        if not provoke(bob, race):
            return
        bob.connection.commit()
        parent = "old_par" if race.planted.name.endswith(" par") else "par"
        for name, statement in race.afterwards.writes(parent):
            lair.notes.at(f"{name} under {level.name}")
            writer.record(statement, is_blind=level != IsolationLevel.READ_COMMITTED)


@pytest.mark.parametrize("is_followed", [True, False], ids=["event-triggers", "none"])
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name.lower())
def test_what_changes_after_the_snapshot_has_no_code_run(
    lair: Lair, level: IsolationLevel, is_followed: bool
) -> None:
    for race in chosen(*sized((3, 2), (200, 60)), level, is_followed):
        lair.clear(is_followed=is_followed)
        assert settle(lair, race.world, (), is_planted_first=True), lair.notes.refusals
        lair.notes.case = str(race)
        run(lair, race, level)
    lair.notes.judge()


def wait_for_lock(dba: Session, writing: Session) -> bool:
    """Return whether a session waits for a lock, once it does or has nothing left to do."""
    row = dba.connection.execute(
        "select exists (select from pg_locks where not granted and pid = %s)",
        [writing.connection.info.backend_pid],
    ).fetchone()
    return row == (True,)


@pytest.mark.parametrize("is_followed", [True, False], ids=["event-triggers", "none"])
@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name.lower())
def test_what_changes_while_a_write_waits_for_it_has_no_code_run(
    lair: Lair, level: IsolationLevel, is_followed: bool
) -> None:
    waited = 0
    for race in chosen(*sized((2, 2), (60, 60)), level, is_followed, "waiting"):
        lair.clear(is_followed=is_followed)
        assert settle(lair, race.world, (), is_planted_first=True), lair.notes.refusals
        lair.notes.case = f"{race}, waiting"
        waited += run_waiting(lair, race, level)
    assert waited > 0, "no write waited"
    lair.notes.judge()


def run_waiting(lair: Lair, race: Race, level: IsolationLevel) -> bool:
    """Write while the stranger holds locks, and let him commit; return whether the write waited."""
    with (
        lair.session(lair.bob) as writer,
        lair.session(lair.bob) as bob,
        lair.session() as dba,
        ThreadPoolExecutor(1) as thread,
    ):
        writer.connection.isolation_level = level
        warm_up(writer, race)
        if not provoke(bob, race):
            return False
        name, statement = race.world.pick(tuple(race.afterwards.writes()), "waiting")
        lair.notes.at(f"{name} under {level.name}")
        writer.run("select 1 from pg_class limit 1")
        written = thread.submit(writer.record, statement, is_blind=True)
        has_waited = False
        while not has_waited and not written.done():
            has_waited = wait_for_lock(dba, writer)
        bob.connection.commit()
        written.result(timeout=60)
        return has_waited


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name.lower())
@pytest.mark.parametrize("kind", [ENUM, COMPOSITE, DOMAIN], ids=lambda kind: kind.name)
def test_a_branch_that_was_not_parsed_before_a_type_changed_runs_no_code(
    lair: Lair, kind: Kind, level: IsolationLevel
) -> None:
    """Only an expression reads the column: what compares columns, and is parsed, does not."""
    for form in sized((FORMS[0], FORMS[3]), FORMS[:4]):
        for slot in spread(EXPRESSIONS, sized(len(EXPRESSIONS), 1), form, kind, level):
            world = World(form, slot, is_unaudited=True)
            planted = next(iter(plants_of(kind)))
            for is_own_session in (False, True):
                lair.clear(is_followed=is_own_session)
                assert settle(lair, world, (), is_planted_first=True), lair.notes.refusals
                race = Race(world, planted, tuple(world.retype(kind)), "half warm", kind)
                lair.notes.case = f"{race}, tag unaudited"
                if is_own_session:
                    run_alone(lair, race, level)
                else:
                    run(lair, race, level)
    lair.notes.judge()


def run_alone(lair: Lair, race: Race, level: IsolationLevel) -> None:
    """Change a type, and write, in one session that is warm but for some branches."""
    with lair.session(lair.bob) as writer:
        writer.connection.isolation_level = level
        warm_up(writer, race)
        if provoke(writer, race):
            for name, statement in race.afterwards.writes():
                lair.notes.at(f"{name} in the session that changed the type, under {level.name}")
                writer.record(statement)
