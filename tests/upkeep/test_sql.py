"""sql/ makes one object a file, and the functions of api/ are those that are public."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import ROOT
from tests.support.helpers import value

pytestmark = pytest.mark.quick

AUDIT = ROOT / "sql" / "audit"
CREATED = re.compile(
    r"^create (?:or replace )?(function|table|view|type) audit\.(\w+)", flags=re.MULTILINE
)


def test_the_functions_of_api_are_those_whose_comment_says_public(
    connection: psycopg.Connection,
) -> None:
    public = connection.execute(
        "select distinct f.proname from pg_proc as f where f.pronamespace = 'audit'::regnamespace"
        " and obj_description(f.oid, 'pg_proc') ~ '^Public\\. [A-Z]' order by 1"
    ).fetchall()
    assert [name for (name,) in public] == sorted(file.stem for file in AUDIT.glob("api/*.sql"))


def created() -> Iterator[tuple[str, str, list[str]]]:
    """Yield each file of sql/audit/ that makes objects: its room, its name, and their names.

    Functions of one name that take other parameters are one object.
    """
    for file in sorted(AUDIT.glob("*/*.sql")):
        found = CREATED.findall(file.read_text("utf-8"))
        if found:
            yield file.parent.name, file.stem, list(dict.fromkeys(name for _, name in found))


def test_a_file_is_named_after_the_object_that_it_makes() -> None:
    files = list(created())
    assert len(files) > 120
    for room, stem, names in files:
        assert names == [stem], f"sql/audit/{room}/{stem}.sql makes {names}"


def test_what_a_table_was_compiled_to_has_the_columns_of_its_type(
    connection: psycopg.Connection,
) -> None:
    columns = value(
        connection,
        "select array_agg(a.attname::text order by a.attname) from pg_attribute as a"
        " where a.attrelid = 'audit.compiled'::regclass and a.attnum > 0",
    )
    stored = connection.execute(
        "select distinct array(select jsonb_object_keys(k.compiled) order by 1)"
        " from audit.tracked as k"
    ).fetchall()
    assert stored == [(columns,)]


def shown_in(file: Path) -> tuple[str, str]:
    """Return the example in the comment at the head of a file: what is run, and what it makes."""
    head, _, _ = file.read_text("utf-8").partition("\ncreate or replace function")
    _, _, example = head.partition("\n-- For example")
    lines = [line[5:] for line in example.splitlines() if line.startswith("--   ") or line == "--"]
    declared, create, function = "\n".join(lines).partition("CREATE OR REPLACE FUNCTION")
    assert create, f"{file} shows no function"
    return declared.strip(), f"{create}{function}".strip()


def test_the_compiler_shows_a_function_as_it_compiles_it(engine_database: str) -> None:
    declared, shown = shown_in(AUDIT / "compiler" / "compile_table.sql")
    with psycopg.connect(engine_database) as connection:
        connection.execute(declared.encode())
        compiled = value(
            connection,
            "select pg_get_functiondef(f.oid) from audit.tracked as k"
            " cross join lateral jsonb_object_keys(k.compiled -> 'functions') as n"
            " join pg_proc as f on f.pronamespace = 'audit'::regnamespace and f.proname = n",
        )
        trigger = value(
            connection,
            "select k.compiled -> 'triggers' ->> '_audit_update' from audit.tracked as k",
        )
    assert re.sub(r"'\d+'::regclass", "'16384'::regclass", compiled).strip() == shown
    assert trigger.startswith("after update of title on public.note for each row ")
