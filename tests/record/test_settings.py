"""What is stored does not depend on the settings of who writes."""

from collections.abc import Iterator
from contextlib import closing
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tests import conftest
from tests.conftest import Connect
from tests.support.helpers import newest, platform, value
from tests.support.servers import Server

KINDS: tuple[LiteralString, ...] = (
    *("boolean", "smallint", "integer", "bigint", "numeric", "real", "double precision", "money"),
    *("text", "varchar(200)", "char(4)", "bytea", "uuid", "json", "jsonb", "bit varying"),
    *("timestamptz", "timestamp", "date", "time", "timetz", "interval"),
    *("tstzrange", "tsrange", "daterange", "numrange", "int8multirange", "tstzmultirange"),
    *("inet", "macaddr", "point", "circle", "tsvector", "pg_lsn", "regclass", '"char"'),
    *("text[]", "timestamptz[]", "interval[]", "bytea[]", "double precision[]", "date[]"),
    *("money[]", "tstzrange[]", "public.mood", "public.moment", "public.pair", "public.pair[]"),
)

VALUES: tuple[tuple[str | None, str | None], ...] = (
    *(("true", "false"), ("1", "2"), ("1", "2"), ("9007199254740993", "1"), ("1.10", "1.1")),
    *(
        ("0.12345678", "1e-30"),
        ("0.12345678901234568", "NaN"),
        ("12.34", "-0.5"),
        ("ä€'\\\"\n", "\\x41"),
        ("a", ""),
    ),
    *(("a", "b"), ("\\x00ff", "\\x5c27"), ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None)),
    *(('{"a":  1}', '{"a": 1}'), ('{"a": 1.50}', "[]"), ("101", "1")),
    *(("2026-11-22 10:00:00.5+02", "infinity"), ("2026-11-22 10:00:00", "0044-03-15 BC")),
    *(("2026-02-01", "2026-01-02"), ("10:00:00", "24:00:00"), ("10:00:00+05:30", "10:00Z")),
    *(("1 mon -2 days 03:04:05.6", "-1 year"), ("[2026-11-22 10:00+02,)", "empty")),
    *(("[2026-02-01 10:00,)", "empty"), ("[2026-02-01,2026-03-02)", None), ("[1.10,2)", None)),
    *(("{[1,2),[5,9)}", "{}"), ("{[2026-11-22 10:00+02,infinity)}", "{}"), ("::1/128", "10.0.0.1")),
    *(
        ("08:00:2b:01:02:03", None),
        ("(0.12345678901234568,1e-30)", "(1,2)"),
        ("<(0.12345678901234568,0.2),0.3>", "<(1,2),3>"),
    ),
    *(("'a':1 'b':2", "'a':1"), ("16/B374D848", "0/0"), ("pg_class", "pg_type"), ("a", "b")),
    *(('{a,NULL,"b,c"}', "{}"), ("{2026-11-22 10:00+02}", "{}"), ("{1 day,-00:00:01}", "{}")),
    *(
        ('{"\\\\x00ff"}', "{}"),
        ("{0.12345678901234568,NaN}", "{}"),
        ("{2026-02-01}", "{}"),
        ("{12.34}", "{}"),
    ),
    *(('{"[2026-11-22 10:00+02,)"}', "{}"), ("calm", "wild"), ("2026-11-22 10:00+02", None)),
    *(('(0.12345678901234568,2026-11-22 10:00+02,"1 day","\\\\x00")', "(,,,)"), ("{}", None)),
)

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


@pytest.fixture(scope="module")
def url(server: Server, template: str) -> Iterator[str]:
    """A database with a table of every kind of column, public.every; tests roll back in it."""
    with conftest._new_database(server, template) as name:
        with psycopg.connect(server.url(name), autocommit=True) as session:
            session.execute("set timezone = 'UTC'; set datestyle = 'ISO, YMD'")
            create(session)
        yield server.url(name)


def create(session: psycopg.Connection) -> None:
    session.execute(
        "create type public.mood as enum ('calm', 'wild');"
        "create domain public.moment as timestamptz;"
        "create type public.pair as (x double precision, at timestamptz, span interval, raw bytea)"
    )
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(f"c{n}"), sql.SQL(kind))
        for n, kind in enumerate(KINDS)
    )
    session.execute(
        sql.SQL(
            "create table public.every (id integer primary key, seen timestamptz, {0});"
            "create table public.given (side integer primary key, {0});"
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
    for side in (0, 1):
        session.execute(
            sql.SQL("insert into public.given values ({}, {})").format(
                sql.Literal(side), sql.SQL(", ").join(sql.Literal(pair[side]) for pair in VALUES)
            )
        )
    platform(session)


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


def written(writer: psycopg.Connection) -> list[tuple[object, ...]]:
    """Run all statements in one transaction; return the rows of the log as text, and undo them."""
    columns = sql.SQL(", ").join(sql.Identifier(f"c{n}") for n in range(len(KINDS)))
    mark = newest(writer)
    try:
        for statement in STATEMENTS:
            writer.execute(sql.SQL(statement).format(columns=columns))
        writer.execute("reset all")
        return writer.execute(
            "select action, item_id, item_label, actor_type, actor_id, actor_label, account_id,"
            " is_cascade, context::text, changes::text"
            " from audit.events where id > %s order by id",
            (mark,),
        ).fetchall()
    finally:
        writer.rollback()


def test_every_kind_of_column_has_values() -> None:
    assert len(KINDS) == len(VALUES)


@pytest.fixture(scope="module")
def expected(url: str) -> list[tuple[object, ...]]:
    """The rows of the log that the statements give under the settings of the server."""
    with closing(psycopg.connect(url)) as writer:
        return written(writer)


def test_all_statements_are_recorded(expected: list[tuple[object, ...]]) -> None:
    assert sorted(str(row[0]) for row in expected) == [
        *("every_created", "every_deleted"),
        *("every_parted_created", "every_parted_deleted"),
        *("every_parted_updated", "every_parted_updated", "every_updated"),
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
