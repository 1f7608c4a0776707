"""What readers see: the views and item_log() against a history written by hand."""

from datetime import datetime
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.catalogue import ACTIONS, PLATFORM
from tests.support.expected import signed_in
from tests.support.helpers import Platform, new_log, newest, platform, value

VIEWS = ["license", "order", "customer", "product"]
BLACKLISTED = (
    "update (is_blacklisted) when not old.is_blacklisted and new.is_blacklisted"
    " of licensing.devices"
)
NOON = "2026-11-22T12:00:00+00:00"


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def read(
    conn: psycopg.Connection, query: LiteralString, *parameters: object
) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters or None).fetchall()


def column(conn: psycopg.Connection, query: LiteralString, *parameters: object) -> list[Any]:
    return [found for (found,) in conn.execute(query, parameters or None)]


# A history: what happens to each item, written down by hand


def live(conn: psycopg.Connection, p: Platform) -> None:
    """Let things happen to every item that has a page, and let other items have theirs."""
    parameters = {
        "license": p.license,
        "order": p.order,
        "customer": p.customer,
        "product": p.product,
        "user": p.license_user,
        "f1": p.f1,
        "device": p.device,
        "noon": NOON,
    }
    script: LiteralString = """
        update licensing.licenses set is_enabled = false, note = 'x' where id = %(license)s;
        insert into licensing.license_features (license_id, product_feature_id)
          values (%(license)s, %(f1)s);
        insert into licensing.license_user_assignments (license_id, license_user_id)
          values (%(license)s, %(user)s);
        update licensing.devices set is_blacklisted = true where id = %(device)s;
        update licensing.devices set reset_at = %(noon)s where id = %(device)s;
        insert into licensing.order_managers (order_id, license_user_id)
          values (%(order)s, %(user)s);
        update licensing.orders set campaign = 'Spring' where id = %(order)s;
        update licensing.customers set phone = '1' where id = %(customer)s;
        update licensing.products set is_active = false where id = %(product)s;
        update licensing.product_features set name = 'x' where id = %(f1)s
    """
    psycopg.ClientCursor(conn).execute(script, parameters)


def end(conn: psycopg.Connection, p: Platform) -> None:
    """Delete every item that has a page, those with parts by cascade."""
    conn.execute("delete from licensing.orders where id = %s", [p.order])
    conn.execute("delete from licensing.products where id = %s", [p.product])
    conn.execute("delete from licensing.customers where id = %s", [p.customer])


def item(p: Platform, view: str) -> str:
    return str(getattr(p, view))


CREATED = {
    "license": ["license_created"],
    "order": ["order_created"],
    "customer": ["customer_created"],
    # The features and the custom field of the small vendor's product come one by one.
    "product": ["product_created"] + ["product_updated"] * 3,
}
LIVED = {
    "license": [
        "device_blacklisted",
        "device_reset",
        "license_disabled",
        "license_features_updated",
        "license_updated",
        "license_user_assigned",
    ],
    "order": ["order_manager_added", "order_updated"],
    "customer": ["customer_updated"],
    "product": ["product_deactivated", "product_updated"],
}
ENDED = {
    "license": ["license_deleted", "license_features_updated", "license_user_unassigned"],
    "order": ["order_deleted", "order_manager_removed"],
    "customer": ["customer_deleted"],
    "product": ["product_deleted", "product_updated", "product_updated"],
}


def page(conn: psycopg.Connection, view: str, key: str) -> list[dict[str, Any]]:
    """Return the rows of one item's page in the order of the log."""
    query = f"select * from licensing.{view}_log where {view}_id = %s order by occurred_at, id"
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), [key]).fetchall()


@pytest.mark.parametrize("view", VIEWS)
def test_an_items_page_tells_its_history_also_when_it_is_gone(
    connection: psycopg.Connection, view: str
) -> None:
    p, neighbour = platform(connection), platform(connection, "y.example")
    live(connection, p)
    live(connection, neighbour)
    history = CREATED[view] + LIVED[view]
    assert sorted(row["action"] for row in page(connection, view, item(p, view))) == sorted(history)
    end(connection, p)
    history += ENDED[view]
    gone = page(connection, view, item(p, view))
    assert sorted(row["action"] for row in gone) == sorted(history)
    assert {row["account_id"] for row in gone} == {str(p.account)}
    others = page(connection, view, item(neighbour, view))
    assert sorted(row["action"] for row in others) == sorted(CREATED[view] + LIVED[view])


@pytest.mark.parametrize("view", VIEWS)
def test_an_items_page_is_the_events_about_it_and_its_children(
    connection: psycopg.Connection, p: Platform, view: str
) -> None:
    live(connection, p)
    end(connection, p)
    key = item(p, view)
    events = [
        {f"{view}_id": key} | event
        for event in read(connection, "select * from audit.events order by occurred_at, id")
        if (view, key)
        in ((event["item_type"], event["item_id"]), (event["parent_type"], event["parent_id"]))
    ]
    shown = page(connection, view, key)
    assert shown == events
    assert next(iter(shown[0])) == f"{view}_id"


# events


def test_events_are_the_log_with_the_actions_names(
    connection: psycopg.Connection, p: Platform
) -> None:
    live(connection, p)
    events = read(connection, "select * from audit.events order by id")
    log = read(connection, "select * from audit.log order by id")
    labels: dict[str, str] = dict(
        connection.execute("select action, label from audit.actions").fetchall()
    )
    shown = [
        {name: row[name] for name in row if name in log[0] and name != "changes"} for row in events
    ]
    assert shown == [{name: row[name] for name in shown[0]} for row in log]
    for event, row in zip(events, log, strict=True):
        assert event["action_label"] == labels[row["action"]]
        assert row["row_values"] or event["changes"] == row["changes"]
        assert event["changes"] is not None
    whole = [row["action"] for row in log if row["row_values"]]
    assert {"license_created", "order_created", "customer_created"} <= set(whole)
    names = {row["action"]: row["action_label"] for row in events}
    assert names["license_features_updated"] == "License features updated"
    assert names["platform_user_added"] == "User added"
    assert names["tracking_started"] == "Tracking started"


def test_an_event_keeps_its_name_when_its_table_is_no_longer_tracked(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute("select audit.untrack('licensing.customers')")
    query: LiteralString = "select distinct action_label from audit.events where action = %s"
    assert value(connection, query, "customer_created") == "Customer created"
    assert value(connection, query, "tracking_stopped") == "Tracking stopped"


# changes


def test_a_record_is_not_read_for_a_column_that_it_does_not_have(
    connection: psycopg.Connection, p: Platform
) -> None:
    (layout,) = column(
        connection,
        "select distinct layout from audit.events where action = 'customer_created'",
    )
    connection.execute(f"drop function audit.layout_{layout}_values(text)".encode())
    changed: LiteralString = (
        "select new_value from audit.changes where item_type = 'customer' and column_name = %s"
    )
    assert column(connection, changed, "is_floating") == []
    with pytest.raises(psycopg.errors.UndefinedFunction):
        column(connection, changed, "email")


def changes_since(conn: psycopg.Connection, mark: int) -> list[tuple[Any, ...]]:
    """Return action, column, old and new value and redaction of the changes after a row."""
    return conn.execute(
        "select action, column_name, old_value, new_value, is_redacted from audit.changes"
        " where id > %s order by id, column_name",
        [mark],
    ).fetchall()


def test_changes_are_one_row_for_each_changed_column(
    connection: psycopg.Connection, p: Platform
) -> None:
    mark = newest(connection)
    connection.execute(
        "update licensing.licenses set note = 'x', max_activations = null, is_trial = true,"
        " valid_until = %s, metadata = '{\"a\": [1, \"b\"]}', license_key = 'canary-5678'",
        [NOON],
    )
    assert changes_since(connection, mark) == [
        ("license_updated", "is_trial", "false", "true", False),
        ("license_updated", "license_key", None, None, True),
        ("license_updated", "max_activations", "5", None, False),
        ("license_updated", "metadata", "{}", '{"a": [1, "b"]}', False),
        ("license_updated", "note", None, "x", False),
        ("license_updated", "valid_until", None, NOON, False),
    ]


def test_changes_leave_out_the_key_that_tells_which_part_it_was(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "insert into licensing.license_user_assignments (license_id, license_user_id)"
        " values (%s, %s)",
        [p.license, p.license_user],
    )
    mark = newest(connection)
    connection.execute("update licensing.license_user_assignments set max_activations = 3")
    connection.execute("update licensing.product_features set max_consumption = 50")
    (assigned, features) = new_log(connection, mark)
    assert "users/ana@x.example/license_user_id" in (assigned.changes or {})
    assert {"features/F1/id", "features/F2/id"} <= set(features.changes or {})
    assert changes_since(connection, mark) == [
        ("license_updated", "users/ana@x.example/max_activations", "1", "3", False),
        ("product_updated", "features/F1/max_consumption", None, "50", False),
        ("product_updated", "features/F2/max_consumption", "100", "50", False),
    ]


def test_changes_of_a_row_that_comes_or_goes_are_all_its_columns(
    connection: psycopg.Connection, p: Platform
) -> None:
    mark = newest(connection)
    connection.execute(
        "insert into licensing.user_permission_templates (id, account_id, name)"
        " values (99001, %s, 'Sales')",
        [p.account],
    )
    connection.execute("delete from licensing.user_permission_templates where id = 99001")
    known = [("account_id", str(p.account)), ("description", None)]
    known += [("id", "99001"), ("name", "Sales")]
    template = "user_permission_template"
    assert changes_since(connection, mark) == [
        *((f"{template}_created", name, None, text, False) for name, text in known),
        *((f"{template}_deleted", name, text, None, False) for name, text in known),
    ]


def test_changes_carry_their_event(connection: psycopg.Connection, p: Platform) -> None:
    mark = newest(connection)
    connection.execute("update licensing.devices set reset_at = %s, is_blacklisted = true", [NOON])
    changes = read(connection, "select * from audit.changes where id > %s order by id", mark)
    events = read(connection, "select * from audit.events where id > %s order by id", mark)
    assert [row["column_name"] for row in changes] == [
        name for event in events for name in event["changes"]
    ]
    assert len(changes) == 2
    for change, event in zip(changes, events, strict=True):
        del event["changes"]
        assert change.items() >= event.items()


def test_an_event_without_columns_has_no_changes(
    connection: psycopg.Connection, p: Platform
) -> None:
    mark = newest(connection)
    connection.execute("truncate licensing.devices")
    assert len(new_log(connection, mark)) == 1
    assert changes_since(connection, mark) == []


# actions


def test_the_catalogue_has_every_action_with_its_meaning(connection: psycopg.Connection) -> None:
    catalogue = {row["action"]: row for row in read(connection, "select * from audit.actions")}
    assert len(ACTIONS) == len(set(ACTIONS)) == len(PLATFORM) + 1 == 43
    about_tables = {"table_truncated", "tracking_started", "tracking_changed", "tracking_stopped"}
    about_the_log = {"log_exported", "log_imported", "log_import_undone"}
    assert set(catalogue) == {*ACTIONS, *about_tables, *about_the_log}
    for action, row in catalogue.items():
        assert row["label"].strip(), action
        assert row["description"].endswith("."), action
        if action in about_tables:
            assert (row["item_types"], row["recorded_on"]) == (["table"], [])
        elif action in about_the_log:
            assert (row["item_types"], row["recorded_on"]) == (["log"], [])
        else:
            assert [action.startswith(kind) for kind in row["item_types"]] == [True], action
            assert row["recorded_on"], action
    labels = [row["label"] for row in catalogue.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("action", "item_type", "recorded_on"),
    [
        (
            "license_updated",
            "license",
            [
                "update of licensing.license_user_assignments",
                "update of licensing.licenses",
            ],
        ),
        (
            "device_blacklisted",
            "device",
            [BLACKLISTED],
        ),
        (
            "license_features_updated",
            "license",
            ["insert, update, delete one row per item and statement of licensing.license_features"],
        ),
        (
            "platform_user_updated",
            "platform_user",
            ["update of licensing.memberships", "update of licensing.platform_users"],
        ),
    ],
)
def test_the_catalogue_says_what_is_recorded_so(
    connection: psycopg.Connection, action: str, item_type: str, recorded_on: list[str]
) -> None:
    (row,) = read(connection, "select * from audit.actions where action = %s", action)
    assert row["item_types"] == [item_type]
    assert row["recorded_on"] == recorded_on


# item_log


def test_item_log_is_newest_first_and_includes_children(
    connection: psycopg.Connection, p: Platform
) -> None:
    live(connection, p)
    end(connection, p)
    found = read(connection, "select * from audit.item_log('license', %s)", str(p.license))
    assert sorted(row["action"] for row in found) == sorted(
        CREATED["license"] + LIVED["license"] + ENDED["license"]
    )
    expected = page(connection, "license", str(p.license))[::-1]
    assert [{"license_id": str(p.license)} | row for row in found] == expected


def test_item_log_keeps_accounts_apart(connection: psycopg.Connection, p: Platform) -> None:
    other = platform(connection, "y.example")
    connection.execute(
        "insert into licensing.memberships (account_id, platform_user_id) values (%s, %s)",
        [other.account, p.colleague],
    )
    connection.execute(
        "update licensing.platform_users set phone = '1' where id = %s", [p.colleague]
    )
    query: LiteralString = "select account_id from audit.item_log('platform_user', %s, %s)"
    person = str(p.colleague)
    mine, theirs = str(p.account), str(other.account)
    assert column(connection, query, person, mine) == [mine] * 2
    assert column(connection, query, person, theirs) == [theirs] * 2
    assert sorted(column(connection, query, person, None)) == sorted([mine, theirs] * 2)
    assert column(connection, query, person, "-1") == []


def test_item_log_returns_events_of_any_item(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("truncate licensing.devices")
    (newest_row, *_, oldest) = read(
        connection, "select * from audit.item_log('table', 'licensing.devices', '')"
    )
    assert (newest_row["action"], oldest["action"]) == ("table_truncated", "tracking_started")
    assert isinstance(newest_row["occurred_at"], datetime)
    assert newest_row["action_label"] == "Table truncated"
    assert column(connection, "select 1 from audit.item_log('table', 'nosuch')") == []


# The database explains itself


OBJECTS: LiteralString = """
select format('schema %s', n.nspname) as object, obj_description(n.oid, 'pg_namespace') as comment
from pg_namespace as n
where n.nspname in ('audit', 'licensing')
union all
select format('%s.%s', n.nspname, c.relname), obj_description(c.oid, 'pg_class')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('audit', 'licensing') and c.relkind in ('r', 'p', 'v') and not c.relispartition
union all
select format('%s.%s.%s', n.nspname, c.relname, a.attname), col_description(c.oid, a.attnum)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname in ('audit', 'licensing') and c.relkind in ('r', 'p', 'v', 'c')
  and c.relname !~ '^layout_[0-9]+$'
union all
select format('type %s.%s', n.nspname, c.relname), obj_description(c.reltype, 'pg_type')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('audit', 'licensing') and c.relkind = 'c'
union all
select f.oid::regprocedure::text, obj_description(f.oid, 'pg_proc')
from pg_proc as f
where f.pronamespace in ('audit'::regnamespace, 'licensing'::regnamespace)
  and not exists (select from audit.tracked as t where t.compiled -> 'functions' ? f.proname)
"""


def test_everything_has_a_comment_that_is_a_sentence(connection: psycopg.Connection) -> None:
    comments = {row["object"]: row["comment"] for row in read(connection, OBJECTS)}
    for known in (
        "schema licensing",
        "audit.log",
        "licensing.licenses.reset_at",
        "licensing.product_log.product_id",
        "type audit.row_sql",
        "audit.compiled.fingerprint",
        "audit.set_actor(text,anycompatible,text,text)",
    ):
        assert known in comments
    mute = [name for name, text in comments.items() if not text or not text.rstrip().endswith(".")]
    assert mute == []


def test_every_foreign_key_of_the_platform_has_an_index(connection: psycopg.Connection) -> None:
    keys = read(
        connection,
        "select c.conrelid::regclass || '.' || c.conname as name, exists ("
        " select from pg_index as i where i.indrelid = c.conrelid and i.indisvalid"
        " and i.indpred is null and i.indnkeyatts >= cardinality(c.conkey)"
        " and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey) as is_indexed"
        " from pg_constraint as c"
        " where c.contype = 'f' and c.connamespace = 'licensing'::regnamespace",
    )
    assert len(keys) >= 24
    assert [key["name"] for key in keys if not key["is_indexed"]] == []


def test_every_foreign_key_deletes_as_the_platform_needs(connection: psycopg.Connection) -> None:
    deletes = connection.execute(
        "select c.conrelid::regclass::text || ' -> ' || c.confrelid::regclass, c.confdeltype::text"
        " from pg_constraint as c"
        " where c.contype = 'f' and c.connamespace = 'licensing'::regnamespace"
        " and c.confdeltype <> 'a'"
    ).fetchall()
    cascades = {name.replace("licensing.", "") for name, kind in deletes if kind == "c"}
    assert cascades == {
        "license_features -> licenses",
        "license_custom_fields -> licenses",
        "license_user_assignments -> licenses",
        "devices -> licenses",
        "user_permission_template_permissions -> user_permission_templates",
        "order_managers -> orders",
        "licenses -> orders",
        "product_features -> products",
        "product_custom_fields -> products",
    }
    assert {name.replace("licensing.", "") for name, kind in deletes if kind == "n"} == {
        "licenses -> customers",
        "devices -> license_users",
    }
