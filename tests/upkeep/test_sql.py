"""sql/ makes one object a file, and the functions of api/ are those that are public."""

import re
from collections.abc import Iterator

import psycopg

from tests.support import ROOT
from tests.support.helpers import value

AUDIT = ROOT / "sql" / "audit"
CREATED = re.compile(
    r"^create (?:or replace )?(function|table|view|type) audit\.(\w+)", flags=re.MULTILINE
)


def test_the_functions_of_api_are_those_whose_comment_says_public(
    connection: psycopg.Connection,
) -> None:
    public = connection.execute(
        "select f.proname from pg_proc as f where f.pronamespace = 'audit'::regnamespace"
        " and obj_description(f.oid, 'pg_proc') ~ '^Public\\. [A-Z]' order by 1"
    ).fetchall()
    assert [name for (name,) in public] == sorted(file.stem for file in AUDIT.glob("api/*.sql"))


def created() -> Iterator[tuple[str, str, list[str]]]:
    """Yield each file of sql/audit/ that makes objects: its room, its name, and their names."""
    for file in sorted(AUDIT.glob("*/*.sql")):
        found = CREATED.findall(file.read_text("utf-8"))
        if found:
            yield file.parent.name, file.stem, [name for _, name in found]


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
