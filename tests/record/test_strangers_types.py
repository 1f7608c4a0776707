"""The owner of a type has no code run with the log's rights: casts, checks, defaults, anywhere.

Every slot of a declaration is tried with every form of trigger and every kind of type, whose owner
adds each kind of code: before the table is tracked, afterwards, or together with a new type of the
column, and then runs each DDL after which tables are compiled anew.
"""

import pytest

from tests.support.effort import is_long, sized
from tests.support.hostile_tables import DDL, FORMS, Form, World, pick, slots_of
from tests.support.hostile_types import (
    COMPOSITE,
    DOMAIN,
    DOMAIN_ENUM,
    KINDS,
    TEXT,
    Kind,
    Plant,
    plants_of,
)
from tests.support.strangers import (
    Lair,
    Session,
    as_role,
    build,
    follow,
    plant,
    quickly,
    spread,
    track_world,
    write,
)

pytestmark = pytest.mark.slow

EACH = [pytest.param(form, id=str(form), marks=quickly(form)) for form in FORMS]


def writer_of(dba: Session, world: World, planted: Plant) -> str:
    """Return who writes: the stranger or somebody else."""
    return world.pick((dba.lair.bob, dba.lair.alice), planted.name, "writer")


def try_later(dba: Session, world: World, share: int) -> None:
    """Track a table with a hostile type, to which its owner adds code afterwards."""
    with dba.undone():
        if not build(dba, world):
            return
        write(dba, world, dba.lair.bob)
        for planted in spread(plants_of(world.kind), share, world, "later"):
            with dba.undone():
                plant(dba, planted)
                moment = f" of a {world.kind.name}, planted later"
                write(dba, world, writer_of(dba, world, planted), moment)
                if world.pick(tuple(range(8)), planted.name, "followed") and not is_long():
                    continue
                ddl = world.pick(DDL, planted.name, "ddl")
                if follow(dba, ddl):
                    write(dba, world, dba.lair.bob, f"{moment}, then {ddl}")


def try_before(dba: Session, world: World) -> None:
    """Track a table with a hostile type, whose owner added code before."""
    for planted in spread(plants_of(world.kind), sized(9, 1), world, "before"):
        with dba.undone():
            build(dba, world, is_tracked=False)
            plant(dba, planted)
            dba.lair.notes.moment = f"track of a {world.kind.name}, planted before"
            if track_world(dba, world):
                moment = f" of a {world.kind.name}, planted before"
                write(dba, world, writer_of(dba, world, planted), moment)


def try_retyped(dba: Session, world: World, kinds: list[Kind]) -> None:
    """Track a table of built-in types, one of which its owner then changes to a hostile one."""
    with dba.undone():
        if world.pick((True, False), "event triggers"):
            dba.run("alter event trigger audit_before_ddl disable")
            dba.run("alter event trigger audit_after_ddl disable")
        assert build(dba, world, is_typed=False), dba.lair.notes.refusals
        written = dba.lair.notes.recorded
        write(dba, world, dba.lair.bob)
        written = dba.lair.notes.recorded - written
        assert written == len(list(world.writes())), dba.lair.notes.refusals
        for kind in kinds:
            every = list(plants_of(kind))
            for planted in dict.fromkeys(
                [*every[:1], *spread(every, sized(9, 1), world, kind.name)]
            ):
                with dba.undone():
                    retype(dba, world, kind, planted)


def retype(dba: Session, world: World, kind: Kind, planted: Plant) -> None:
    """Change the type of a column, before or after its owner adds code to it; write, refresh."""
    is_ready = world.pick((True, False), kind.name, planted.name, "ready")
    making, *changes = world.retype(kind)
    with as_role(dba, dba.lair.bob):
        dba.run(making or "select")
    if is_ready:
        plant(dba, planted)
    dba.lair.notes.moment = f"change to {kind.name}"
    with as_role(dba, dba.lair.bob):
        if kind.source != "lair.t" and not all(dba.attempt(change) for change in changes):
            return
    if not is_ready:
        plant(dba, planted)
    hostile = World(world.form, world.slot, kind)
    write(dba, hostile, writer_of(dba, world, planted), f" after the change to {kind.name}")
    ddl = world.pick(DDL, planted.name, kind.name, "ddl")
    if follow(dba, ddl):
        write(dba, hostile, dba.lair.bob, f" after the change to {kind.name}, then {ddl}")


def worlds(form: Form, kinds: tuple[Kind, ...], share: int) -> list[World]:
    """Return the worlds of a form: its slots with some or all kinds of types."""
    slots = slots_of(form)
    if len(slots) < len(KINDS) // 2:
        share = max(1, share // 2)
    return [
        World(form, slot, kind, pick((False, True), str(form), slot, kind.name))
        for slot in slots
        for kind in spread(kinds, share, str(form), slot)
        # There is no foreign key between columns of such a type.
        if not (slot == "lookup_key" and kind is DOMAIN_ENUM)
    ]


@pytest.mark.parametrize("form", EACH)
def test_code_that_a_type_gets_after_tracking_never_runs(lair: Lair, form: Form) -> None:
    with lair.session() as dba:
        for world in worlds(form, KINDS, sized(10, 1)):
            try_later(dba, world, sized(3, 1))
    lair.notes.judge()


@pytest.mark.parametrize("form", EACH)
def test_code_that_a_type_had_before_tracking_never_runs(lair: Lair, form: Form) -> None:
    with lair.session() as dba:
        for world in worlds(form, KINDS, sized(12, 1)):
            try_before(dba, world)
    lair.notes.judge()


@pytest.mark.parametrize("form", EACH)
def test_code_of_a_column_s_new_type_never_runs(lair: Lair, form: Form) -> None:
    with lair.session() as dba:
        for slot in slots_of(form):
            if slot != "lookup_key":  # a foreign key stands in the way
                world = World(form, slot, TEXT)
                kinds = {COMPOSITE, DOMAIN, *spread(KINDS, sized(13, 1), world)}
                try_retyped(dba, world, sorted(kinds, key=KINDS.index))
    lair.notes.judge()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_planted_code_runs_when_its_owner_calls_it(lair: Lair, kind: Kind) -> None:
    """The control: what the tests above plant would be noticed."""
    world = World(FORMS[0], "plain", kind)
    with lair.session() as dba:
        build(dba, world, is_tracked=False)
        for planted in plants_of(kind):
            for control in planted.controls:
                with dba.undone():
                    plant(dba, planted)
                    lair.notes.firings.clear()
                    with as_role(dba, lair.bob):
                        dba.run(control)
                    assert {one.role for one in lair.notes.firings} == {lair.bob}, control
