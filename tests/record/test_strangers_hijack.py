"""Nobody's names hide those that the log's code uses, whatever search_path anybody sets."""

import pytest

from tests.support.effort import sized
from tests.support.hostile_relations import HIJACK, carriers, reading_world, shadows
from tests.support.hostile_tables import FORMS, Form
from tests.support.strangers import (
    Lair,
    alone,
    as_role,
    build,
    settle,
    track_world,
    write,
    write_alone,
)

pytestmark = pytest.mark.slow

TRIED = sized(FORMS[::3], FORMS)


@pytest.mark.parametrize("form", TRIED, ids=str)
def test_code_that_sets_a_search_path_does_not_lead_its_caller_astray(
    lair: Lair, form: Form
) -> None:
    """A function that an index calls sets the path of the session to where the names lead astray.

    It may do so with the rights of who only reads the table; the next statement has others.
    """
    world = reading_world(form)
    plants = [p for p in carriers(world, is_tracked=False) if not p.name.endswith(" on t")]
    with lair.session() as dba:
        made = shadows(dba.connection, "lair")
    alone(lair, made, lair.bob)
    alone(lair, HIJACK, lair.bob)
    if settle(lair, world, plants, is_planted_first=True):
        write_alone(lair, world)
    lair.notes.judge()


@pytest.mark.parametrize("form", TRIED, ids=str)
def test_a_writer_s_search_path_does_not_lead_the_log_astray(lair: Lair, form: Form) -> None:
    world = reading_world(form)
    with lair.session() as dba:
        build(dba, world, is_tracked=False)
        for schema in ("lair", "pg_temp"):
            made = shadows(dba.connection, schema)
            with as_role(dba, lair.bob):
                dba.run(made)
        lair.notes.at("track")
        assert track_world(dba, world), lair.notes.refusals
        for path in ("lair, pg_catalog", "pg_temp, lair, pg_catalog, audit"):
            dba.run(f"set search_path = {path}")
            write(dba, world, lair.bob, f" under {path}")
            dba.run("reset search_path")
            lair.notes.at(f"refresh after {path}")
            dba.run("alter table lair.t add z" + str(len(path)) + " integer")
            assert dba.attempt("select audit.refresh()"), lair.notes.refusals
    lair.notes.judge()


def test_nothing_of_the_log_s_hides_the_warnings_that_tell(lair: Lair) -> None:
    """What all these tests hear is a warning: no function may silence those."""
    with lair.session() as dba:
        build(dba, reading_world(FORMS[-1]))
        found = dba.connection.execute(
            "select oid::regprocedure::text from pg_proc"
            " where pronamespace = 'audit'::regnamespace"
            "   and concat(prosrc, proconfig) ~ 'client_min_messages'"
        ).fetchall()
    assert found == []


def test_names_that_hide_others_are_found_by_who_looks_for_them(lair: Lair) -> None:
    """The control: under such a path the owner's own statements run them."""
    with lair.session() as dba:
        made = shadows(dba.connection, "lair")
        with as_role(dba, lair.bob):
            dba.run(made)
            dba.run("set search_path = lair, pg_catalog")
            lair.notes.at("control")
            dba.run("select split_part('a', 'b', 1), 'a'::text || 'b'::text")
    found = {one.plant for one in lair.notes.firings}
    assert found == {"split_part()", "operator ||"}
    assert made.count("create function") > 100
