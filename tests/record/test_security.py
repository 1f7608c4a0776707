"""A writer can neither read, change, forge nor silence the log, nor have its code run by it."""

import re
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from auditdb._upkeep import migrate
from tests.conftest import Connect, CreateRole
from tests.support.helpers import Platform, new_log, newest, platform, recorded, value

PLANTED: tuple[LiteralString, ...] = (
    "create table {0}.log (id bigint, action text, item_type text, item_id text)",
    "create table {0}.tracked (id integer, target regclass)",
    "create type {0}.text_pair as (a text, b text)",
    "create domain {0}.jsonb as pg_catalog.text",
    "create domain {0}.text as pg_catalog.int4",
    (
        "create function {0}.planted() returns boolean language plpgsql as"
        " $$begin insert into {0}.evidence values (current_user); return true; end$$"
    ),
    (
        "create function {0}.clock_timestamp() returns timestamptz language sql as"
        " $$select case when {0}.planted() then timestamptz '1999-01-01' end$$"
    ),
    (
        "create function {0}.current_setting(pg_catalog.text) returns pg_catalog.text"
        " language sql as $$select case when {0}.planted() then 'planted' end$$"
    ),
    (
        "create function {0}.current_setting(pg_catalog.text, boolean) returns pg_catalog.text"
        " language sql as $$select case when {0}.planted() then 'planted' end$$"
    ),
    (
        "create function {0}.jsonb_build_object(variadic pg_catalog.text[])"
        " returns pg_catalog.jsonb language sql as"
        " $$select case when {0}.planted() then '{{\"planted\": true}}'::pg_catalog.jsonb end$$"
    ),
    (
        "create function {0}.right(pg_catalog.text, integer) returns pg_catalog.text"
        " language sql as $$select case when {0}.planted() then 'planted' end$$"
    ),
    (
        "create function {0}.txid_current() returns bigint language sql as"
        " $$select case when {0}.planted() then 1 end::bigint$$"
    ),
    (
        "create function {0}.concat_text(pg_catalog.text, pg_catalog.text) returns pg_catalog.text"
        " language sql as $$select case when {0}.planted() then 'planted' end$$"
    ),
    (
        "create operator {0}.||"
        " (leftarg = pg_catalog.text, rightarg = pg_catalog.text, function = {0}.concat_text)"
    ),
    (
        "create function {0}.same(bigint, bigint) returns boolean language sql as"
        " $$select {0}.planted()$$"
    ),
    "create operator {0}.= (leftarg = bigint, rightarg = bigint, function = {0}.same)",
)


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """A session of the owner of everything, a superuser."""
    return connect()


@pytest.fixture
def writer_role(owner: psycopg.Connection, create_role: CreateRole) -> str:
    """A role with all rights on the core tables and none on the log."""
    role = create_role()
    for statement in (
        "grant usage on schema licensing to {}",
        "grant select, insert, update, delete on all tables in schema licensing to {}",
        "grant usage on all sequences in schema licensing to {}",
        "grant create on schema public to {}",
    ):
        grant(owner, statement, role)
    owner.commit()
    return role


@pytest.fixture
def core(owner: psycopg.Connection) -> Platform:
    made = platform(owner)
    owner.commit()
    return made


PUBLIC_FUNCTIONS = [
    "has_own_policies",
    "horizon",
    "name_now",
    "presence_of",
    "record_changes",
    "record_text",
    "record_values",
    "set_actor",
]


def grant(conn: psycopg.Connection, statement: LiteralString, *names: str) -> None:
    conn.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))


def is_refused(conn: psycopg.Connection, statement: LiteralString | sql.Composed) -> None:
    """Assert that PostgreSQL denies this; the session's transaction is rolled back."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement)
    conn.rollback()


def test_a_writer_is_recorded(
    owner: psycopg.Connection, connect: Connect, writer_role: str, core: Platform
) -> None:
    writer = connect(user=writer_role)
    mark = newest(owner)
    writer.execute("select audit.set_actor('platform_user', '7', 'ana@x.example')")
    writer.execute("update licensing.licenses set note = 'x' where id = %s", (core.license,))
    writer.execute("delete from licensing.devices where id = %s", (core.device,))
    writer.execute("delete from licensing.orders where id = %s", (core.order,))
    writer.commit()
    rows = new_log(owner, mark)
    assert sorted(row.action for row in rows) == [
        "license_deleted",
        "license_updated",
        "order_deleted",
    ]
    assert {(row.actor, row.actor_label, row.db_role) for row in rows} == {
        ("platform_user:7", "ana@x.example", writer_role)
    }


def test_a_writer_cannot_touch_any_table_view_or_sequence_of_the_log(
    owner: psycopg.Connection, connect: Connect, writer_role: str, core: Platform
) -> None:
    found = owner.execute(
        "select relname, relkind::text from pg_class"
        " where relnamespace = 'audit'::regnamespace and relkind in ('r', 'p', 'v', 'S')"
    ).fetchall()
    assert {kind for _, kind in found} == {"r", "p", "v", "S"}
    writer = connect(user=writer_role)
    for name, kind in found:
        if kind == "S":
            for call in ("nextval({})", "currval({})", "setval({}, 1)"):
                is_refused(writer, sql.SQL("select " + call).format(sql.Literal(f"audit.{name}")))
            continue
        target = sql.Identifier("audit", name)
        reading: tuple[LiteralString, ...] = ("select * from {}", "select count(*) from {}")
        writing: tuple[LiteralString, ...] = (
            "insert into {} default values",
            "delete from {}",
            "truncate {}",
            "lock table {}",
            "copy {} to stdout",
            "copy {} from stdin",
        )
        for statement in reading if kind == "v" else reading + writing:
            is_refused(writer, sql.SQL(statement).format(target))
    is_refused(writer, "update audit.log set actor_id = 'somebody else'")
    is_refused(writer, "select * from licensing.license_log")


def test_a_writer_cannot_run_any_function_but_what_public_may(
    owner: psycopg.Connection, connect: Connect, writer_role: str
) -> None:
    functions = owner.execute(
        "select p.oid::regprocedure::text, p.proname, p.prorettype::regtype::text, p.proisstrict,"
        "   array(select case when n = p.pronargs and p.provariadic <> 0 then 'variadic ' else ''"
        "     end || format('null::%%s', t::regtype)"
        "     from unnest(p.proargtypes) with ordinality as u (t, n))"
        " from pg_proc as p where p.pronamespace = 'audit'::regnamespace and p.proname <> all (%s)"
        "   and p.proname !~ '^layout_[0-9]+_' and p.proname <> 'as_compiled'",
        (PUBLIC_FUNCTIONS,),
    ).fetchall()
    assert len(functions) > 50
    writer = connect(user=writer_role)
    writer.execute("create table public.mine (id integer primary key)")
    writer.commit()
    for signature, name, returned, is_strict, arguments in functions:
        assert not value(
            owner, "select has_function_privilege(%s, %s, 'execute')", writer_role, signature
        ), signature
        if returned == "event_trigger" or is_strict:
            continue  # a strict one is not even called with the nulls below
        if returned == "trigger":
            attempt = sql.SQL(
                "create trigger mine after insert on public.mine"
                " for each row execute function audit.{}()"
            ).format(sql.Identifier(name))
        else:
            attempt = sql.SQL("select audit.{}({})").format(
                sql.Identifier(name),
                sql.SQL(", ").join(sql.SQL(argument) for argument in arguments),
            )
        is_refused(writer, attempt)


def test_public_may_name_an_actor_and_ask_where_rows_are_only(
    owner: psycopg.Connection,
) -> None:
    granted = owner.execute(
        "select p.proname from pg_proc as p,"
        "   aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a"
        " where p.pronamespace = 'audit'::regnamespace and a.grantee = 0"
        "   and p.proname !~ '^layout_[0-9]+_'"
        " union"
        " select c.relname from pg_class as c, aclexplode(c.relacl) as a"
        " where c.relnamespace = 'audit'::regnamespace and a.grantee = 0"
    ).fetchall()
    assert sorted(name for (name,) in granted) == sorted(PUBLIC_FUNCTIONS)
    rights = value(
        owner,
        "select array_agg(a.privilege_type) from pg_namespace as n, aclexplode(n.nspacl) as a"
        " where n.nspname = 'audit' and a.grantee = 0",
    )
    assert rights == ["USAGE"]


def test_every_security_definer_function_pins_its_search_path(owner: psycopg.Connection) -> None:
    functions = owner.execute(
        "select p.oid::regprocedure::text, coalesce(p.proconfig, '{}'),"
        "   p.prorettype = 'trigger'::regtype"
        " from pg_proc as p where p.pronamespace = 'audit'::regnamespace and p.prosecdef"
    ).fetchall()
    assert sum(is_trigger for *_, is_trigger in functions) > 40  # those compiled are among them
    unpinned = [
        name for name, config, _ in functions if "search_path=pg_catalog, pg_temp" not in config
    ]
    assert unpinned == []


def test_the_compiled_functions_have_the_least_rights(owner: psycopg.Connection) -> None:
    owners = owner.execute(
        "select p.proowner::regrole::text, p.proname ~ '_cascade$', count(*)"
        " from audit.tracked as k"
        " cross join lateral jsonb_object_keys(k.compiled -> 'functions') as f"
        " join pg_proc as p on p.pronamespace = 'audit'::regnamespace and p.proname = f"
        " group by 1, 2 order by 1"
    ).fetchall()
    assert [row[:2] for row in owners] == [("audit_lookup", True), ("audit_writer", False)]
    rights = {
        role: owner.execute(
            "select c.oid::regclass::text, a.privilege_type"
            " from pg_class as c cross join lateral aclexplode(c.relacl) as a"
            " where a.grantee = to_regrole(%s) order by 1, 2",
            (role,),
        ).fetchall()
        for role in ("audit_writer", "audit_lookup")
    }
    move = [("audit.move", right) for right in ("DELETE", "INSERT", "SELECT", "UPDATE")]
    assert rights == {
        "audit_writer": [("audit.log", "INSERT"), *move],
        "audit_lookup": [],
    }


@pytest.mark.parametrize("place", ["public", "own schema", "pg_temp"])
def test_planted_objects_are_not_picked_up(
    owner: psycopg.Connection, connect: Connect, writer_role: str, core: Platform, place: str
) -> None:
    schema = {"public": "public", "own schema": "planted", "pg_temp": "pg_temp"}[place]
    if place == "own schema":
        grant(owner, "create schema planted authorization {}", writer_role)
        owner.commit()
    writer = connect(user=writer_role)
    target = sql.Identifier(schema)
    writer.execute(
        sql.SQL("create {} table {}evidence (who pg_catalog.text)").format(
            sql.SQL("temp" if place == "pg_temp" else ""),
            sql.SQL("") if place == "pg_temp" else sql.SQL("{}.").format(target),
        )
    )
    for statement in PLANTED:
        writer.execute(sql.SQL(statement).format(target))
    writer.execute(sql.SQL("set search_path = {}, pg_catalog, licensing, audit").format(target))
    mark = newest(owner)
    writer.execute("select pg_catalog.set_config('application_name', 'app', false)")
    writer.execute("select audit.set_actor('platform_user', '7', 'ana', '{\"ip\": \"::1\"}')")
    writer.execute(
        "insert into licensing.license_features (license_id, product_feature_id)"
        f" values ({core.license}, {core.f1})"  # the planted operators would answer parameters
    )
    writer.execute("update licensing.licenses set note = 'x'")
    writer.execute("update licensing.products set archived_at = pg_catalog.now()")
    writer.execute("delete from licensing.orders")
    planted = writer.execute(sql.SQL("select who from {}.evidence").format(target)).fetchall()
    writer.commit()
    rows = new_log(owner, mark)
    assert planted == []
    assert sorted(row.action for row in rows) == [
        "license_deleted",
        "license_features_updated",
        "license_features_updated",
        "license_updated",
        "order_deleted",
        "product_archived",
    ]
    assert {(row.actor, row.application) for row in rows} == {("platform_user:7", "app")}
    assert all(row.occurred_at.year > 2020 for row in rows)
    assert {row.item_label for row in rows if row.item_type == "license"} == {"1234"}


def test_planted_objects_are_found_by_who_looks_for_them(
    connect: Connect, writer_role: str
) -> None:
    """What is planted above does answer an unqualified name: the test would see it."""
    writer = connect(user=writer_role)
    writer.execute("create table public.evidence (who pg_catalog.text)")
    for statement in PLANTED:
        writer.execute(sql.SQL(statement).format(sql.Identifier("public")))
    writer.execute("set search_path = public, pg_catalog")
    writer.execute("select current_setting('a', true), clock_timestamp(), 1::bigint = 2::bigint")
    assert value(writer, "select count(*) from public.evidence") == 3


def test_the_owner_of_a_type_has_no_code_run_by_the_log(
    owner: psycopg.Connection, connect: Connect, writer_role: str
) -> None:
    """Casts have no schema: they are found whatever the search_path, so they must not be used."""
    writer = connect(user=writer_role)
    writer.execute("create type public.mood as enum ('calm', 'wild')")
    writer.execute(
        "create table public.pet (id integer primary key, mood public.mood, moods public.mood[])"
    )
    writer.commit()
    owner.execute(
        "select audit.track('public.pet', item_label => 'mood', parent_type => 'mood',"
        " parent_id => 'mood')"
    )
    owner.commit()
    writer.execute("create table public.evidence (who name)")
    for kind in ("json", "jsonb", "text"):
        writer.execute(
            sql.SQL(
                "create function {1}(public.mood) returns {0} language plpgsql as"
                " $$begin insert into public.evidence values (current_user);"
                " return '1'; end$$;"
                "create cast (public.mood as {0}) with function {1}(public.mood)"
            ).format(sql.Identifier(kind), sql.Identifier("public", f"planted_{kind}"))
        )
    writer.commit()
    fresh = connect(user=writer_role)
    fresh.execute("insert into public.pet values (1, 'calm', '{calm}')")
    fresh.execute("update public.pet set mood = 'wild', moods = '{wild}'")
    fresh.execute("delete from public.pet")
    ran_as = {who for (who,) in fresh.execute("select who from public.evidence").fetchall()}
    assert ran_as <= {writer_role}


def test_a_tables_name_cannot_put_code_into_the_compiled_function(
    owner: psycopg.Connection, connect: Connect, writer_role: str
) -> None:
    """The owner of a tracked table may rename it and its columns, to anything."""
    writer = connect(user=writer_role, autocommit=True)
    writer.execute("create table public.pet (id integer primary key, name text, tame boolean)")
    owner.execute("select audit.track('public.pet')")
    owner.commit()
    mark = newest(owner)
    for name in ("a\nb", "a';--", 'a"b', "$$", "%s", "a\\", "/*", "--", "a\n#option dump\n"):
        writer.execute(sql.SQL("alter table public.pet rename to {}").format(sql.Identifier(name)))
        writer.execute(
            sql.SQL("alter table public.{} rename column name to {}").format(
                sql.Identifier(name), sql.Identifier(name)
            )
        )
        table, column = sql.Identifier("public", name), sql.Identifier(name)
        writer.execute(sql.SQL("insert into {} values (1, 'Rex', true)").format(table))
        writer.execute(sql.SQL("update {} set {} = 'Tom'").format(table, column))
        writer.execute(sql.SQL("delete from {}").format(table))
        written = [row for row in new_log(owner, mark) if row.item_type == "pet"]
        assert [row.action for row in written] == ["pet_created", "pet_updated", "pet_deleted"]
        assert written[1].changes == {name: {"old": "Rex", "new": "Tom"}}
        mark = newest(owner)
        writer.execute(sql.SQL("alter table {} rename column {} to name").format(table, column))
        writer.execute(sql.SQL("alter table {} rename to pet").format(table))
        mark = newest(owner)


def test_replica_mode_does_not_silence_the_triggers(
    owner: psycopg.Connection, core: Platform
) -> None:
    owner.execute("set session_replication_role = replica")
    with recorded(owner) as rows:
        owner.execute(
            "insert into licensing.customers (account_id, email) values (%s, 'b@x.example')",
            (core.account,),
        )
        owner.execute("update licensing.licenses set is_enabled = false")
        owner.execute(
            "delete from licensing.memberships where platform_user_id = %s", (core.admin,)
        )
        owner.execute("truncate licensing.devices")
    assert [row.action for row in rows] == [
        "customer_created",
        "license_disabled",
        "platform_user_removed",
        "table_truncated",
    ]
    disabled = owner.execute(
        "select tgrelid::regclass, tgname from pg_trigger where tgname ~ '^_audit_'"
        " and tgenabled <> 'A'"
    ).fetchall()
    assert disabled == []


def test_a_role_sees_right_rows_recorded_that_it_cannot_read(
    owner: psycopg.Connection, connect: Connect, create_role: CreateRole, core: Platform
) -> None:
    """Column grants: neither the label's source, the account nor the old values are readable."""
    role = create_role()
    grant(owner, "grant usage on schema licensing to {}", role)
    grant(owner, "grant update (note) on licensing.licenses to {}", role)
    grant(owner, "grant insert on licensing.license_features to {}", role)
    owner.commit()
    blind = connect(user=role)
    is_refused(blind, "select note from licensing.licenses")
    mark = newest(owner)
    blind.execute("update licensing.licenses set note = 'blind'")
    blind.execute(
        "insert into licensing.license_features (license_id, product_feature_id) values (%s, %s)",
        (core.license, core.f1),
    )
    blind.commit()
    updated, features = new_log(owner, mark)
    assert (updated.action, updated.item_label, updated.account_id, updated.db_role) == (
        ("license_updated", "1234", str(core.account), role)
    )
    assert updated.changes == {"note": {"old": None, "new": "blind"}}
    assert (features.item_label, features.account_id) == ("1234", str(core.account))
    assert features.changes is not None
    assert "features/F1/license_id" in features.changes


@pytest.mark.parametrize("force", [False, True])
def test_row_security_on_core_tables_does_not_blind_the_log(
    owner: psycopg.Connection,
    connect: Connect,
    writer_role: str,
    core: Platform,
    force: bool,
) -> None:
    for table in ("licenses", "license_features", "product_features", "memberships"):
        owner.execute(
            sql.SQL("alter table licensing.{} enable row level security").format(
                sql.Identifier(table)
            )
        )
        if force:
            owner.execute(
                sql.SQL("alter table licensing.{} force row level security").format(
                    sql.Identifier(table)
                )
            )
    grant(owner, "create policy mine on licensing.license_features to {} using (true)", writer_role)
    owner.commit()
    writer = connect(user=writer_role)
    assert value(writer, "select count(*) from licensing.licenses") == 0
    mark = newest(owner)
    writer.execute(
        "insert into licensing.license_features (license_id, product_feature_id) values (%s, %s)",
        (core.license, core.f1),
    )
    writer.execute("delete from licensing.license_features")
    writer.commit()
    rows = new_log(owner, mark)
    assert [(row.item_label, row.account_id, row.is_cascade) for row in rows] == [
        ("1234", str(core.account), False),
        ("1234", str(core.account), False),
    ]


def test_an_owner_under_forced_row_security_fails_rather_than_records_less(
    server: object, empty_database: str, create_role: CreateRole
) -> None:
    """Without superuser rights a forced policy binds the log's owner too: then the write fails."""
    role = create_role()
    with psycopg.connect(empty_database, autocommit=True) as superuser:
        name = value(superuser, "select current_database()")
        grant(superuser, "grant create on database {} to {}", name, role)
        host = superuser.info.host
        port = superuser.info.port
    url = f"postgresql://{role}@/{name}?host={host}&port={port}"
    migrate.upgrade(url, "heads")
    with psycopg.connect(url) as owner:
        core = platform(owner)
        feature = (
            "insert into licensing.license_features (license_id, product_feature_id)"
            " values (%s, %s)"
        )
        with recorded(owner) as rows:
            owner.execute(feature, (core.license, core.f1))
        assert [row.item_label for row in rows] == ["1234"]
        owner.execute("alter table licensing.licenses enable row level security")
        owner.execute("alter table licensing.licenses force row level security")
        with (
            pytest.raises(psycopg.DatabaseError, match="has changed since"),
            owner.transaction(),
        ):
            owner.execute(feature, (core.license, core.f2))
        owner.execute("select audit.refresh('licensing.license_features')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            owner.execute(feature, (core.license, core.f2))


def settings_named(conn: psycopg.Connection) -> list[str]:
    """Return the settings in audit.* that appear in functions of the schema."""
    sources = conn.execute(
        "select prosrc from pg_proc where pronamespace = 'audit'::regnamespace"
    ).fetchall()
    functions = {
        name
        for (name,) in conn.execute(
            "select proname from pg_proc where pronamespace = 'audit'::regnamespace"
            " union select relname from pg_class where relnamespace = 'audit'::regnamespace"
        ).fetchall()
    }
    named = {name for (source,) in sources for name in re.findall(r"'audit\.(\w+)'", source)}
    return sorted(named - functions)


GARBAGE = (
    *("on", "off", ":", "0", "true", "null", "[]", '{"a": 1}', "{}", "{,}", "{{a,b}}", "\x1f"),
    *(":()", ":(1,1,x)", ":(2,1,y)", "'", "\\", "{system,1,x,y}", "a\x1fb\x1fc\x1f{", "x" * 10_000),
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda text: repr(text[:20]))
def test_no_setting_switches_anything_off(
    owner: psycopg.Connection, writer_role: str, core: Platform, garbage: str
) -> None:
    """Whatever is put into a setting, the write is recorded right or it fails."""
    owner.execute(
        "create table public.parted (id integer, region integer, name text,"
        "   primary key (id, region)) partition by list (region);"
        "create table public.parted_1 partition of public.parted for values in (1);"
        "create table public.parted_2 partition of public.parted for values in (2);"
        "insert into public.parted values (1, 1, 'x'), (2, 1, 'y'), (3, 1, 'z');"
        "select audit.track('public.parted', item_label => 'name')"
    )
    owner.execute(
        "insert into licensing.license_user_assignments (license_id, license_user_id)"
        " values (%s, %s)",
        (core.license, core.license_user),
    )
    grant(owner, "grant all on public.parted, public.parted_1, public.parted_2 to {}", writer_role)
    owner.commit()
    names = settings_named(owner)
    assert "actor" in names
    account = str(core.account)
    expected: dict[LiteralString, list[tuple[str, str, str | None, bool]]] = {
        "insert into public.parted values (4, 1, 'w')": [("parted_created", "", "w", False)],
        "insert into public.parted_2 values (1, 2, 'x')": [("parted_created", "", "x", False)],
        "delete from public.parted where id = 1": [("parted_deleted", "", "x", False)],
        "delete from public.parted where set_config({}, {}, true) is not null and id = 1": [
            ("parted_deleted", "", "x", False)
        ],
        "update public.parted set name = 'v' where id = 1": [("parted_updated", "", "v", False)],
        "update public.parted set region = 2 where id = 1": [
            ("parted_updated", "", "x", False),
            ("parted_updated", "", "x", False),
        ],
        "update licensing.licenses set note = 'n'": [("license_updated", account, "1234", False)],
        "delete from licensing.license_user_assignments": [
            ("license_user_unassigned", account, "1234", False)
        ],
        "delete from licensing.licenses": [
            ("license_deleted", account, "1234", False),
            ("license_user_unassigned", account, "1234", True),
        ],
    }
    wrong = []
    for name in names:
        setting = sql.Literal(f"audit.{name}"), sql.Literal(garbage)
        for statement, rows in expected.items():
            mark = newest(owner)
            owner.execute("savepoint before")
            grant(owner, "set local role {}", writer_role)
            owner.execute(sql.SQL("select set_config({}, {}, true)").format(*setting))
            try:
                owner.execute(sql.SQL(statement).format(*setting))
                owner.execute("reset role")
                found = [
                    (r.action, r.account_id, r.item_label, r.is_cascade)
                    for r in new_log(owner, mark)
                ]
                if sorted(found) != sorted(rows):
                    wrong.append((name, statement, found))
            except psycopg.Error:
                pass
            owner.execute("rollback to before")
    assert wrong == []
