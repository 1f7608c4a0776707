"""What is stored does not depend on the settings of who writes."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from tests import conftest
from tests.conftest import Connect
from tests.support.helpers import newest, platform, value
from tests.support.kinds import KINDS, TYPES, VALUELESS
from tests.support.servers import Server

SETTINGS: dict[str, tuple[str, ...]] = {
    "timezone": ("America/Lima", "Asia/Kathmandu", "UTC"),
    "datestyle": ("SQL, DMY", "Postgres, MDY", "German, YMD"),
    "intervalstyle": ("iso_8601", "sql_standard", "postgres_verbose"),
    "extra_float_digits": ("-15", "0", "3"),
    "bytea_output": ("escape",),
    "search_path": ("", "public, pg_catalog"),
    "client_encoding": ("LATIN1",),
    "standard_conforming_strings": ("off",),
    "backslash_quote": ("off",),
    "lc_monetary": ("C.UTF-8",),
    "lc_numeric": ("C.UTF-8",),
    "lc_time": ("C.UTF-8",),
    "xmloption": ("document",),
    "xmlbinary": ("hex",),
    "array_nulls": ("off",),
    "quote_all_identifiers": ("on",),
    "transform_null_equals": ("on",),
    "row_security": ("off",),
    "plpgsql.extra_errors": ("all",),
    "plpgsql.variable_conflict": ("error",),
    "default_transaction_isolation": ("serializable",),
    "plan_cache_mode": ("force_generic_plan", "force_custom_plan"),
    "enable_indexscan": ("off",),
    "enable_hashjoin": ("off",),
    "jit_above_cost": ("0",),
}


Settings = Sequence[tuple[str, str]]

# Settings that are all at once as far from the usual as can be.
HOSTILE: Sequence[Settings] = [
    [
        (name, settings[place % len(settings)])
        for name, settings in SETTINGS.items()
        if name != "jit_above_cost"  # by itself above: with all readers it takes minutes
    ]
    for place in range(3)
]


@pytest.fixture(scope="module")
def url(server: Server, template: str) -> Iterator[str]:
    """A database with a table of every kind of column, public.every; tests roll back in it."""
    with conftest._new_database(server, template) as name:
        with psycopg.connect(server.url(name), autocommit=True) as session:
            session.execute("set timezone = 'UTC'; set datestyle = 'ISO, YMD'")
            create(session)
        yield server.url(name)


# A setting is pinned only where a type needs it: so there are tables of kinds that need the same.
GROUPS = """
select array_agg(a.attname::text order by a.attnum)
from pg_attribute as a
join pg_type as t on t.oid = a.atttypid
where a.attrelid = 'public.given'::regclass and a.attname ~ '^c[0-9]+$'
group by audit.settings_of(array[audit.presented_type(t.oid)]), t.typcategory = 'A'
"""
ALIKE = """
select 'public.' || c.relname, array_agg(a.attname::text order by a.attnum)
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attname ~ '^c[0-9]+$'
where c.relname ~ '^alike_' and c.relkind = 'r'
group by c.oid
order by c.oid
"""


def create(session: psycopg.Connection) -> None:
    session.execute(TYPES)
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(f"c{n}"), sql.SQL(kind))
        for n, kind in enumerate(kinds(session))
    )
    session.execute(
        sql.SQL(
            "create table public.given (side integer primary key, {0});"
            "create table public.every (id integer primary key, seen timestamptz, {0});"
            "create table public.every_parted (id integer, region text, {0},"
            "   primary key (id, region)) partition by list (region);"
            "create table public.every_north partition of public.every_parted"
            "   for values in ('north');"
            "create table public.every_south partition of public.every_parted"
            "   for values in ('south');"
            "select audit.track('public.every', operational => '{{seen}}', item_label => 'c8'),"
            "   audit.track('public.every_parted', item_label => 'c8')"
        ).format(columns)
    )
    for number, (group,) in enumerate(session.execute(GROUPS).fetchall()):
        session.execute(
            sql.SQL(
                "create table public.{0} as select 0 as id, {1} from public.given;"
                "alter table public.{0} add primary key (id); select audit.track('public.{0}')"
            ).format(sql.SQL(f"alike_{number}"), sql.SQL(", ").join(map(sql.Identifier, group)))
        )
    for side in (0, 1):
        session.execute(
            sql.SQL("insert into public.given values ({}, {})").format(
                sql.Literal(side), sql.SQL(", ").join(sql.Literal(kind[side + 1]) for kind in KINDS)
            )
        )
    platform(session)


def kinds(session: psycopg.Connection) -> list[LiteralString]:
    """Return the types of the columns: text in place of xml where the server was built without."""
    try:
        session.execute("select '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return [kind.type.replace("xml", "text") for kind in KINDS]
    return [kind.type for kind in KINDS]


STATEMENTS: tuple[LiteralString, ...] = (
    (
        "select audit.set_actor('platform_user', '7', null,"
        " jsonb_build_object('reason', chr(92) || ' ä'))"
    ),
    "insert into public.every select 1, null, {columns} from public.given where side = 0",
    "update public.every set ({columns}) = (select {columns} from public.given where side = 1)",
    "delete from public.every",
    "insert into public.every_parted select 1, 'north', {columns} from public.given where side = 0",
    "update public.every_parted set region = 'south'",
    (
        "update public.every_parted set region = 'north',"
        " ({columns}) = (select {columns} from public.given where side = 1)"
    ),
    "delete from public.every_parted",
    (
        "insert into licensing.license_features (license_id, product_feature_id, expires_at)"
        " select l.id, f.id, timestamptz '2026-11-22 10:00+02'"
        "   from licensing.licenses as l, licensing.product_features as f"
    ),
    (
        "update licensing.notification_policies"
        " set lead_time = interval 'P1M2DT3H', is_enabled = false"
    ),
    "update licensing.license_features set max_consumption = 7",
    "delete from licensing.orders",
    "truncate licensing.devices",
)


# What is done to those tables, each time.
EACH = (
    "insert into {0} select 1, {1} from public.given where side = 0",
    "update {0} set ({1}) = row({2}) from public.given as g where side = 1",
    "delete from {0}",
)
EVENTS: LiteralString = (
    "select action, item_id, item_label, actor_type, actor_id, actor_label, account_id,"
    " is_cascade, context::text, changes::text"
    " from audit.events where id > %s order by id"
)


def written(
    writer: psycopg.Connection, query: LiteralString | sql.Composed = EVENTS, reading: Settings = ()
) -> list[tuple[object, ...]]:
    """Run all statements in one transaction; return what a query shows then, and undo them.

    It is asked under the settings for reading, and none of those that were set before.
    """
    columns = sql.SQL(", ").join(sql.Identifier(f"c{n}") for n in range(len(KINDS)))
    alike = writer.execute(ALIKE).fetchall()
    mark = newest(writer)
    try:
        for statement in STATEMENTS:
            writer.execute(sql.SQL(statement).format(columns=columns))
        for table, group in alike:
            listed, given = ", ".join(group), ", ".join(f"g.{column}" for column in group)
            for statement in EACH:
                writer.execute(statement.format(table, listed, given).encode())
        writer.execute("reset all")
        apply(writer, reading)
        writer.execute("set client_encoding = 'UTF8'")  # another has not every letter
        return writer.execute(query, (mark,)).fetchall()
    finally:
        writer.rollback()


def apply(session: psycopg.Connection, settings: Settings) -> None:
    """Set settings for the session."""
    for name, setting in settings:
        session.execute("select pg_catalog.set_config(%s, %s, false)", (name, setting))


def test_every_type_of_postgresql_is_among_the_kinds(url: str) -> None:
    """A new version may bring a new one: then it belongs into KINDS."""
    with closing(psycopg.connect(url)) as session:
        known = session.execute(
            "select t.typname from pg_type as t where t.typnamespace = 'pg_catalog'::regnamespace"
            " and t.typtype in ('b', 'r', 'm') and (t.typlen <> -1 or t.typelem = 0)"
        ).fetchall()
        tried = session.execute(
            "select distinct t.typname from pg_attribute as a"
            " join pg_type as t on t.oid = a.atttypid"
            " where a.attrelid = 'public.every'::regclass and a.attnum > 0"
        ).fetchall()
    missing = {name for (name,) in known} - {name for (name,) in tried} - VALUELESS
    assert missing <= {"xml"}


@pytest.fixture(scope="module")
def expected(url: str) -> list[tuple[object, ...]]:
    """The rows of the log that the statements give under the settings of the server."""
    with closing(psycopg.connect(url)) as writer:
        return written(writer)


def test_all_statements_are_recorded(expected: list[tuple[object, ...]]) -> None:
    alike = [str(row[0]) for row in expected if str(row[0]).startswith("alike_")]
    assert len(alike) >= 3 * 8
    assert sorted(str(row[0]) for row in expected if row[0] not in alike) == [
        *("every_created", "every_deleted"),
        *("every_parted_created", "every_parted_deleted"),
        *["every_parted_updated"] * 4,
        "every_updated",
        *("license_deleted", "license_features_updated", "license_features_updated"),
        *("license_features_updated", "notification_policy_updated"),
        *("order_deleted", "table_truncated"),
    ]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        pytest.param(name, setting, id=f"{name}={setting}")
        for name, settings in SETTINGS.items()
        for setting in settings
    ],
)
def test_what_is_stored_is_the_same_under_every_setting(
    url: str, expected: list[tuple[object, ...]], name: str, setting: str
) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as writer:
        writer.execute("select set_config(%s, %s, false)", (name, setting))
        writer.autocommit = False
        assert written(writer) == expected


# All that a reader may ask for rows, beside events; what differs from run to run is left out.
READINGS: dict[str, LiteralString] = {
    "events": EVENTS,
    "changes": "select action, item_id, column_name, old_value, new_value, is_redacted"
    " from audit.changes where id > %s order by id, column_name",
    "item_log": "select e.action, e.changes::text"
    " from audit.item_log('every', '1') as e where id > %s order by e.id",
    "tree_log": "select e.action, e.changes::text"
    " from audit.tree_log('every_parted', '1/north') as e where id > %s order by e.id",
}


@pytest.mark.parametrize("query", READINGS.values(), ids=READINGS)
def test_what_was_written_under_some_settings_is_read_the_same_under_others(
    url: str, query: LiteralString
) -> None:
    with closing(psycopg.connect(url)) as session:
        known = written(session, query)
    assert known
    for place, settings in enumerate(HOSTILE):
        with closing(psycopg.connect(url, autocommit=True)) as session:
            apply(session, settings)
            session.autocommit = False
            assert written(session, query, HOSTILE[place - 1]) == known


def test_a_record_gives_back_what_it_was_made_of(url: str) -> None:
    """Each value of a record, as text, is the text of the value that was in the table."""
    plain = [("timezone", "UTC"), ("datestyle", "ISO"), ("search_path", "pg_catalog")]
    with closing(psycopg.connect(url)) as session:
        layout = value(
            session, "select layout from audit.tracked where target = 'public.every'::regclass"
        )
        pairs = sql.SQL(", ").join(
            sql.SQL("array[({0}).{1}::text, g.{1}::text]").format(
                sql.SQL("(l.row_values::audit.{})").format(sql.Identifier(f"layout_{layout}")),
                sql.Identifier(f"c{n}"),
            )
            for n in range(len(KINDS))
        )
        query = (
            sql.SQL(
                "select l.action, {} from audit.log as l, public.given as g"
                " where l.id > %s and l.item_type = 'every' and l.action in ('every_created',"
                " 'every_deleted') and g.side = l.is_deleted::int"
            )
            .format(pairs)
            .as_string(session)
        )
        session.commit()
        apply(session, HOSTILE[0])
        rows = written(session, query, plain)
    assert [row[0] for row in rows] == ["every_created", "every_deleted"]
    for row in rows:
        pairs_of_text: Any = zip(KINDS, row[1:], strict=True)
        wrong = [kind for kind, (kept, given) in pairs_of_text if kept != given]
        assert wrong == []


def test_a_label_of_a_time_is_the_same_in_every_zone(connect: Connect) -> None:
    """An expression may turn into text what no audited column holds: it is pinned too."""
    owner = connect(autocommit=True)
    owner.execute(
        "create table public.slot (id integer primary key, at timestamptz, span interval);"
        "select audit.track('public.slot', item_label => 'at::text || '' '' || span::text',"
        "   operational => '{span}', account => 'at::date::text')"
    )
    labels = set()
    for zone, style in (("UTC", "ISO, YMD"), ("America/Lima", "SQL, DMY")):
        writer = connect()
        mark = newest(owner)
        writer.execute("select set_config('timezone', %s, false)", (zone,))
        writer.execute("select set_config('datestyle', %s, false)", (style,))
        writer.execute("select set_config('intervalstyle', 'iso_8601', false)")
        writer.execute(
            "insert into public.slot values (1, timestamptz '2026-11-22 01:00+00', '1 day')"
        )
        labels.update(
            writer.execute(
                "select item_label, account_id from audit.log where id > %s", (mark,)
            ).fetchall()
        )
        writer.rollback()
    assert len(labels) == 1


def test_set_actor_does_not_depend_on_how_strings_are_written(connect: Connect) -> None:
    """The patterns in it hold backslashes: they must mean the same in every session."""
    owner = connect(autocommit=True)
    platform(owner)
    writer = connect(autocommit=True)
    writer.execute("set standard_conforming_strings = off; set escape_string_warning = off")
    mark = newest(owner)
    writer.execute(
        "select audit.set_actor('platform_user', '7');update licensing.customers set phone = '1'"
    )
    with pytest.raises(psycopg.Error) as refused:
        writer.execute("select audit.set_actor('platform_user', '7')")
    assert refused.value.sqlstate == "UA006"
    assert value(owner, "select actor_id from audit.log where id > %s", mark) == "7"
