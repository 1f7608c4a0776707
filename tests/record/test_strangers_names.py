"""What owners of tables and types may make without harm is no obstacle: the writes go on."""

import pytest
from psycopg import sql

from tests.support.hostile_tables import FORMS, SHAPES, Form, World, track
from tests.support.hostile_types import COMPOSITE, DOMAIN_ENUM, ENUM, Kind, plants_of
from tests.support.strangers import Lair, as_role, build, plant, write

# What PL/pgSQL reserves and SQL does not, what compiled code calls its own, and types' names.
COLUMNS = (
    *("begin", "end", "declare", "if", "elsif", "loop", "while", "execute", "by", "return"),
    *("_r", "_e1", "_e2", "_audit", "_audit_p", "_audit_c", "_audit_account", "v_row", "v_actor"),
    *("v_departed", "v_move", "v_current", "new", "old", "new_rows", "old_rows", "strict"),
    *("g", "d", "r", "c", "key", "value", "name", "changes", "action", "here", "p", "text", "date"),
    *("jsonb", "record", "tg_op", "found", "sqlstate", "t", "lair", "item_id", "redacted"),
    *("A b", 'q"q', "%s", "x$1"),
)
CAST = (ENUM, COMPOSITE, DOMAIN_ENUM)


@pytest.mark.parametrize("kind", CAST, ids=lambda kind: kind.name)
@pytest.mark.parametrize("form", FORMS[:4], ids=str)
def test_a_cast_that_a_type_s_owner_adds_stops_no_write(lair: Lair, form: Form, kind: Kind) -> None:
    with lair.session() as dba:
        world = World(form, "plain", kind)
        assert build(dba, world), lair.notes.refusals
        for planted in plants_of(kind):
            with dba.undone():
                plant(dba, planted)
                write(dba, world, lair.bob, f" after {planted.name}")
    assert sorted(lair.notes.refusals) == []
    assert sorted(lair.notes.silences) == []
    assert lair.notes.recorded > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_columns_of_any_name_are_recorded(lair: Lair, shape: str) -> None:
    world = World(Form(shape, "alone"), "plain")
    names, added, changed = (
        sql.SQL(", ").join(
            sql.SQL(one).format(sql.Identifier(column), sql.Literal(f"now {column}"))
            for column in COLUMNS
        )
        for one in ("{0}", "add {0} text", "{0} = {1}")
    )
    values = sql.SQL(", ").join(sql.Literal(f"made {column}") for column in COLUMNS)
    with lair.session() as dba:
        build(dba, world, is_tracked=False)
        with as_role(dba, lair.bob):
            dba.connection.execute(sql.SQL("alter table lair.t {}").format(added))
        declaration = world.declaration()
        dba.connection.execute(track(declaration).encode(), declaration)
        row = dba.connection.execute("select max(id) from audit.log").fetchone()
        assert row is not None
        with as_role(dba, lair.bob):
            for statement in (
                "insert into lair.t (id, k, spare, n, {names}) values ('b', 1, 'r1', 1, {values})",
                "update lair.t set {changed} where id = 'b'",
                "delete from lair.t where id = 'b'",
            ):
                dba.connection.execute(
                    sql.SQL(statement).format(names=names, values=values, changed=changed)
                )
        rows = dba.connection.execute(
            "select changes from audit.events where id > %s order by id", row
        ).fetchall()
    made, updated, gone = (
        {name.rpartition("r1/")[2]: value for name, value in changes.items()} for (changes,) in rows
    )
    for column in COLUMNS:
        assert made[column] == {"new": f"made {column}"}
        assert updated[column] == {"old": f"made {column}", "new": f"now {column}"}
        assert gone[column] == {"old": f"now {column}"}
