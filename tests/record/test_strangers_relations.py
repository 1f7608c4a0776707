"""The owner of a table has no code run with the log's rights by who plans, reads or writes it.

The planner evaluates expressions of indexes, of statistics and of checks: with the rights of the
role whose query it is, in a session that has not yet done so. A table may be replaced by a view.
"""

import pytest

from tests.support.effort import is_long, sized
from tests.support.hostile_relations import (
    EXCLUSION,
    carriers,
    habits,
    reading_world,
    swaps,
    used_relations,
)
from tests.support.hostile_tables import DDL, FORMS, Form, World
from tests.support.hostile_types import Plant
from tests.support.strangers import (
    Lair,
    Session,
    alone,
    as_role,
    build,
    follow,
    quickly,
    settle,
    spread,
    write,
    write_alone,
)

pytestmark = pytest.mark.slow

ON_LOG = ("select audit.refresh()", "select * from audit.check()", "select audit.untrack('lair.t')")


def halved(names: tuple[str, str]) -> list[object]:
    """Return each form with true, false or, in long, both; the names are for these."""
    return [
        pytest.param(form, value, id=f"{form}-{name}", marks=quickly(form))
        for number, form in enumerate(FORMS)
        for value, name in zip((True, False), names, strict=True)
        if is_long() or value == ((number + number // 4) % 2 == 0)
    ]


@pytest.mark.parametrize(("form", "is_planted_first"), halved(("before", "after")))
def test_planning_runs_nothing_of_a_table_s_owner(
    lair: Lair, form: Form, is_planted_first: bool
) -> None:
    world = reading_world(form)
    plants = list(carriers(world, is_tracked=not is_planted_first))
    if settle(lair, world, plants, is_planted_first=is_planted_first):
        write_alone(lair, world)
        for ddl in spread(DDL, sized(5, 1), world, is_planted_first):
            alone(lair, ddl, None if "audit." in ddl else lair.bob)
        write_alone(lair, world)
        for statement in ON_LOG:
            alone(lair, statement)
    lair.notes.judge()


def test_an_expression_in_a_partition_key_is_not_evaluated_with_the_log_s_rights(
    lair: Lair,
) -> None:
    """A table with such a key has no primary key: only accounts can be read from one."""
    world = World(Form("statement", "alone"), "accounts")
    parted = next(p for p in swaps("mem") if p.name.startswith("partitioned table"))
    if settle(lair, world, [parted], is_planted_first=True):
        write_alone(lair, world)
        for statement in ON_LOG:
            alone(lair, statement)
    lair.notes.judge()


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_table_s_owner_sees_what_he_planted_run(lair: Lair, form: Form) -> None:
    """The control: each of the carriers fires in a fresh session of the owner's."""
    world = reading_world(form)
    plants = list(carriers(world, is_tracked=False))
    lair.notes.case = str(world)
    with lair.session() as dba:
        build(dba, world, is_tracked=False)
        dba.connection.commit()
    for planted in plants:
        alone(lair, planted.statements, lair.bob)
    lair.notes.firings.clear()
    for planted in plants:
        alone(lair, planted.controls[0], lair.bob)
        assert lair.notes.seen(planted.name), planted.name
    assert not lair.notes.strangers


def plant_in_place(dba: Session, world: World, planted: Plant) -> None:
    """Replace a table, write, and have everything compiled anew."""
    dba.lair.notes.at(f"making of {planted.name}")
    with as_role(dba, dba.lair.bob):
        if not dba.attempt(planted.statements):
            return
        dba.run(f'grant all on all tables in schema lair to "{dba.lair.alice}"')
    parent = "old_par" if planted.name.endswith(" par") else "par"
    write(dba, world, dba.lair.alice, f" after {planted.name}", parent=parent)
    ddl = world.pick(DDL, planted.name, "ddl")
    follow(dba, ddl)
    write(dba, world, dba.lair.bob, f" after {planted.name}, then {ddl}", parent=parent)


def test_an_owner_sees_run_what_he_put_in_the_place_of_a_table(lair: Lair) -> None:
    """The control: each of the swaps fires in a fresh session of the owner's."""
    for planted in swaps("mem"):
        lair.clear(is_followed=True)
        with lair.session() as dba:
            build(dba, World(FORMS[0], "accounts"), is_tracked=False)
            dba.connection.commit()
        assert alone(lair, planted.statements, lair.bob), lair.notes.refusals
        lair.notes.firings.clear()
        alone(lair, planted.controls[0], lair.bob)
        assert lair.notes.seen(planted.name), planted.name


def test_who_writes_and_reads_a_table_sees_run_what_is_for_him(lair: Lair) -> None:
    """The control: each of the habits fires with the rights of one of the writers."""
    world = World(FORMS[0], "plain")
    with lair.session() as dba:
        build(dba, world)
        for planted in habits("t"):
            with dba.undone():
                with as_role(dba, lair.bob):
                    assert dba.attempt(planted.statements), lair.notes.refusals
                write(dba, world, lair.bob)
                write(dba, world, lair.alice)
            assert lair.notes.seen(planted.name), planted.name


@pytest.mark.parametrize(("form", "is_followed"), halved(("event-triggers", "none")))
def test_what_takes_the_place_of_a_table_is_not_run(
    lair: Lair, form: Form, is_followed: bool
) -> None:
    """A renamed table, and under its name a view or another table with code in it."""
    world = reading_world(form)
    with lair.session() as dba:
        dba.run(EXCLUSION)
        if not is_followed:
            dba.run("alter event trigger audit_before_ddl disable")
            dba.run("alter event trigger audit_after_ddl disable")
        assert build(dba, world), lair.notes.refusals
        write(dba, world, lair.bob)
        for relation in used_relations(world)[1:]:
            for planted in swaps(relation):
                with dba.undone():
                    plant_in_place(dba, world, planted)
    lair.notes.judge()


@pytest.mark.parametrize("form", sized(FORMS[::3], FORMS), ids=str)
def test_what_runs_for_each_reader_and_writer_is_not_run(lair: Lair, form: Form) -> None:
    """Defaults, generated columns, policies, rules: of the tables that the log reads."""
    world = reading_world(form)
    with lair.session() as dba, dba.undone():
        assert build(dba, world), lair.notes.refusals
        write(dba, world, lair.bob)
        for relation in used_relations(world):
            for planted in habits(relation):
                with dba.undone():
                    lair.notes.at(f"making of {planted.name}")
                    with as_role(dba, lair.bob):
                        made = dba.attempt(planted.statements)
                    if made:
                        write(dba, world, lair.bob, f" after {planted.name}")
                        lair.notes.at(f"refresh after {planted.name}")
                        dba.attempt("select audit.refresh()")
    lair.notes.judge()
