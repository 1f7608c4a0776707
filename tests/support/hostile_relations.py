"""What a stranger can hang on a table, and what he can put in its place."""

from collections.abc import Iterator

import psycopg

from tests.support.hostile_tables import Form, World
from tests.support.hostile_types import Plant

# What the planner evaluates as soon as somebody's query is on the table, and what the last needs.
CARRIERS = {
    "index expression": "create index on lair.{r} ((lair.folded('{p}')))",
    "index predicate": "create index on lair.{r} (n) where lair.folded('{p}') > 0",
    "statistics": "create statistics lair.{r}_facts on (n + lair.folded('{p}')) from lair.{r}",
    "check of a child": "create table lair.{r}_child (check (lair.folded('{p}') > 0))"
    " inherits (lair.{r})",
    "check": "alter table lair.{r} add check (lair.folded('{p}') > 0)",
}
EXCLUSION = "set constraint_exclusion = on"
# What runs as whoever writes or reads the table.
HABITS = {
    "default": "alter table lair.{r} add made integer default lair.folded('{p}')",
    "generated column": "alter table lair.{r}"
    " add made integer generated always as (n + lair.folded('{p}')) stored",
    "policy": "create policy own on lair.{r} using (lair.probe('{p}'));"
    "alter table lair.{r} enable row level security",
    "forced policy": "create policy own on lair.{r} using (lair.probe('{p}'));"
    "alter table lair.{r} enable row level security;"
    "alter table lair.{r} force row level security",
    "rule for insert": "create rule own as on insert to lair.{r} do also select lair.probe('{p}')",
    "rule for update": "create rule own as on update to lair.{r} do also select lair.probe('{p}')",
    "rule for delete": "create rule own as on delete to lair.{r} do also select lair.probe('{p}')",
    "trigger condition": "create trigger own after insert or update on lair.{r} for each row"
    " when (lair.probe('{p}')) execute function lair.quiet()",
}
# What may stand where the table stood.
SWAPS = {
    "view": "create view lair.{r} as select * from lair.old_{r} where lair.probe('{p}')",
    "view of functions": "create view lair.{r} as select {columns} from lair.old_{r}",
    "partitioned table": "create table lair.{r} (like lair.old_{r})"
    " partition by list ((n + lair.folded('{p}')));"
    "create table lair.{r}_all partition of lair.{r} default;"
    "insert into lair.{r} select * from lair.old_{r}",
    "table with carriers": "create table lair.{r} (like lair.old_{r});"
    "create index on lair.{r} ((lair.folded('{p}')))",
    "child": "create table lair.{r} (check (lair.folded('{p}') > 0)) inherits (lair.old_{r})",
}


def used_relations(world: World) -> tuple[str, ...]:
    """Return the tables that the compiled functions of a world may read, the tracked one first."""
    return {
        "alone": ("t", "mem"),
        "cascade": ("t", "par", "mem"),
        "one hop": ("t", "par"),
        "two hops": ("t", "par", "grand"),
    }[world.form.link]


def reading_world(form: Form) -> World:
    """Return a world of a form whose compiled functions read every table they can."""
    return World(form, "lookup" if "hop" in form.link else "accounts")


def carriers(world: World, *, is_tracked: bool) -> Iterator[Plant]:
    """Yield what the planner evaluates, for each table that a world reads."""
    for relation in used_relations(world):
        for name, statement in CARRIERS.items():
            is_child = name == "check of a child"
            if (
                is_child
                and relation == "t"
                and not (is_tracked and world.form.shape != "partitioned")
            ):
                continue  # a table with children is not tracked, and a partitioned one has none
            plant = f"{name} on {relation}"
            yield Plant(
                plant,
                statement.format(r=relation, p=plant),
                (f"select * from lair.{relation} where n = 1",),
            )


def habits(relation: str) -> Iterator[Plant]:
    """Yield what runs as whoever writes or reads a table."""
    for name, statement in HABITS.items():
        plant = f"{name} on {relation}"
        yield Plant(plant, statement.format(r=relation, p=plant), ())


def swaps(relation: str) -> Iterator[Plant]:
    """Yield what takes the place of a table."""
    columns = {"mem": "uid, acc, tag, n", "par": "id, tag, gid, n", "grand": "id, tag, n"}[relation]
    for name, statement in SWAPS.items():
        plant = f"{name} in place of {relation}"
        probed = ", ".join(
            f"case when lair.probe('{plant}') then {column} end as {column}"
            for column in columns.split(", ")
        )
        yield Plant(
            plant,
            f"alter table lair.{relation} rename to old_{relation};"
            + statement.format(r=relation, p=plant, columns=probed),
            (f"select * from lair.{relation} where n = 1",),
        )


def shadows(connection: psycopg.Connection, schema: str) -> str:
    """Return statements that make, in a schema, a probe for each name that the log's code uses.

    They have the arguments of what they hide, so that whoever looks there first finds them.
    """
    functions = connection.execute(
        "with used as materialized ("
        "   select distinct m[1] as name"
        "   from pg_proc as a, regexp_matches(a.prosrc, '(\\w+)\\(', 'g') as m"
        "   where a.pronamespace = 'audit'::regnamespace)"
        "select p.proname, p.prorettype::regtype::text, pg_get_function_identity_arguments(p.oid)"
        " from used as u join pg_proc as p on p.proname = u.name"
        " where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f'"
        "   and not p.proretset and p.provariadic = 0 and p.prorettype not in (" + PSEUDO + ")"
        "   and not p.proargtypes::oid[] && array[" + PSEUDO + "]::oid[]"
    ).fetchall()
    operators = connection.execute(
        "select o.oprname, o.oprleft::regtype::text, o.oprright::regtype::text,"
        "   o.oprresult::regtype::text"
        " from pg_operator as o"
        " where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprkind = 'b'"
        "   and o.oprname in ('=', '<>', '||', '->', '->>', '#>>', '~', '?', '+', '@>', '*', '<')"
        "   and o.oprleft in (" + COMMON + ") and o.oprright in (" + COMMON + ")"
    ).fetchall()
    lines = [
        f'create function {schema}."{name}"({arguments}) returns {result} language plpgsql as'
        f" $$begin perform lair.probe('{name}()'); return null; end$$;"
        for name, result, arguments in functions
    ]
    for number, (name, left, right, result) in enumerate(operators):
        lines.append(
            f"create function {schema}.operator_{number}({left}, {right}) returns {result}"
            f" language plpgsql as $$begin perform lair.probe('operator {name}');"
            " return null; end$$;"
            f"create operator {schema}.{name} (leftarg = {left}, rightarg = {right},"
            f" function = {schema}.operator_{number});"
        )
    return "".join(lines)


PSEUDO = (
    "'internal'::regtype, 'cstring'::regtype, '\"any\"'::regtype, 'void'::regtype,"
    " 'anycompatible'::regtype, 'anycompatiblearray'::regtype,"
    " 'trigger'::regtype, 'event_trigger'::regtype, 'record'::regtype, 'anyrange'::regtype,"
    " 'anyenum'::regtype, 'anynonarray'::regtype, 'anymultirange'::regtype"
)
COMMON = (
    "'text'::regtype, 'int4'::regtype, 'int8'::regtype, 'jsonb'::regtype, 'bool'::regtype,"
    " 'text[]'::regtype, 'name'::regtype, 'oid'::regtype"
)
HIJACK = """
create or replace function lair.folded(plant text) returns integer language plpgsql immutable as $$
begin
  perform lair.probe(plant);
  perform pg_catalog.set_config('search_path', 'lair, pg_catalog', false);
  return 1;
end $$;
"""
