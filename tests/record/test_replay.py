"""What the log says is enough to rebuild the tables, whatever the parts of an item are called."""

import psycopg
import pytest

from tests.conftest import Connect
from tests.support.core_tables import TABLES
from tests.support.core_values import NAMES
from tests.support.helpers import Platform, new_log, platform
from tests.support.replay import SOURCES, assert_replays, replay


@pytest.fixture
def utc(connection: psycopg.Connection) -> psycopg.Connection:
    """A session that reads times as the log writes them."""
    connection.execute("set time zone 'UTC'")
    return connection


@pytest.fixture
def vendor(utc: psycopg.Connection) -> Platform:
    """A small platform whose license has parts of every kind."""
    ids = platform(utc)
    utc.execute(
        "insert into licensing.license_features (license_id, product_feature_id, expires_at)"
        " values (%(license)s, %(f1)s, '2027-01-01 12:00+02'), (%(license)s, %(f2)s, 'infinity')",
        {"license": ids.license, "f1": ids.f1, "f2": ids.f2},
    )
    utc.execute(
        "insert into licensing.license_custom_fields (license_id, product_custom_field_id, value)"
        " values (%s, %s, '5')",
        (ids.license, ids.seats),
    )
    utc.execute(
        "insert into licensing.license_user_assignments (license_id, license_user_id)"
        " values (%s, %s)",
        (ids.license, ids.license_user),
    )
    utc.execute(
        "insert into licensing.order_managers (order_id, license_user_id) values (%s, %s)",
        (ids.order, ids.license_user),
    )
    utc.execute(
        "insert into licensing.user_permission_template_permissions (template_id, resource, level)"
        " values (%(id)s, 'a/b', 'read'), (%(id)s, 'x~1y', 'none'), (%(id)s, '', 'manage')",
        {"id": ids.permission_template},
    )
    return ids


def test_every_table_with_rows_of_its_own_in_the_log_is_replayed() -> None:
    replayed = {source.table for source in SOURCES}
    told = {name for name, subject in TABLES.items() if "insert" in subject.actions}
    assert replayed == told


def test_what_was_inserted_is_rebuilt(utc: psycopg.Connection, vendor: Platform) -> None:
    rebuilt = replay(new_log(utc))
    assert all(rebuilt.values())
    assert rebuilt["license_features"][vendor.license, vendor.f1] == {
        "license_id": vendor.license,
        "product_feature_id": vendor.f1,
        "max_consumption": None,
        "allows_overages": False,
        "expires_at": "2027-01-01T10:00:00+00:00",
    }
    assert "license_key" not in rebuilt["licenses"][vendor.license,]
    assert_replays(utc, new_log(utc))


@pytest.mark.parametrize("name", NAMES)
def test_a_part_is_known_by_its_key_not_by_its_name(
    utc: psycopg.Connection, vendor: Platform, name: str
) -> None:
    rename = "update licensing.product_features set code = %s where id = %s"
    utc.execute(rename, ("was F1", vendor.f1))
    utc.execute(rename, (name, vendor.f2))
    utc.execute("update licensing.license_features set max_consumption = product_feature_id")
    utc.execute(
        "update licensing.license_features set max_consumption = 7 where product_feature_id = %s",
        (vendor.f2,),
    )
    rebuilt = replay(new_log(utc))["license_features"]
    assert rebuilt[vendor.license, vendor.f2]["max_consumption"] == 7
    assert_replays(utc, new_log(utc))


def test_two_parts_of_one_name_are_both_rebuilt(utc: psycopg.Connection, vendor: Platform) -> None:
    utc.execute(
        "with made as (insert into licensing.products (account_id, name, code)"
        " values (%s, 'Viewer', 'VIEWER') returning id), feature as (insert into"
        " licensing.product_features (product_id, code) select id, 'F1' from made returning id)"
        " select count(*) from feature",
        (vendor.account,),
    )
    utc.execute("delete from licensing.license_features")
    utc.execute(
        "insert into licensing.license_features (license_id, product_feature_id, max_consumption)"
        " select %s, id, id from licensing.product_features where code = 'F1'",
        (vendor.license,),
    )
    utc.execute("update licensing.license_features set max_consumption = max_consumption + 1")
    assert len(replay(new_log(utc))["license_features"]) == 2
    assert_replays(utc, new_log(utc))


def test_parts_that_took_the_place_of_others_are_rebuilt(
    utc: psycopg.Connection, vendor: Platform
) -> None:
    utc.execute("delete from licensing.license_features where product_feature_id = %s", [vendor.f2])
    utc.execute(
        "update licensing.license_features set product_feature_id = %s, allows_overages = true",
        [vendor.f2],
    )
    utc.execute(
        "update licensing.user_permission_template_permissions set resource = resource || '/c'"
    )
    assert list(replay(new_log(utc))["license_features"]) == [(vendor.license, vendor.f2)]
    assert_replays(utc, new_log(utc))


@pytest.mark.parametrize("parent", ["orders", "licenses", "user_permission_templates"])
def test_what_a_cascade_deleted_is_gone(
    utc: psycopg.Connection, vendor: Platform, parent: str
) -> None:
    utc.execute(f"delete from licensing.{parent}")
    assert not replay(new_log(utc))[parent]
    assert_replays(utc, new_log(utc))


def test_what_was_truncated_is_gone(utc: psycopg.Connection, vendor: Platform) -> None:
    utc.execute("truncate licensing.customers cascade")
    rebuilt = replay(new_log(utc))
    assert not rebuilt["customers"]
    assert not rebuilt["license_features"]
    assert rebuilt["products"]
    assert_replays(utc, new_log(utc))


def test_two_sessions_at_once_are_rebuilt(connect: Connect) -> None:
    first, second = connect(), connect()
    ids = platform(first)
    first.commit()
    change = "update licensing.customers set city = city || %(by)s, email = email || %(by)s"
    first.execute("update licensing.customers set city = ''")
    other = platform(second, "y.example")
    first.execute(change, {"by": "1"})
    second.execute("update licensing.products set trial_days = 1 where id = %s", [other.product])
    first.commit()
    second.execute(change, {"by": "2"})
    first.execute("delete from licensing.orders where id = %s", [ids.order])
    second.commit()
    first.rollback()
    first.execute("set time zone 'UTC'")
    rebuilt = replay(new_log(first))
    assert rebuilt["customers"][ids.customer,]["city"] == "12"
    assert (ids.order,) in rebuilt["orders"]
    assert_replays(first, new_log(first))


def test_a_row_that_the_log_lacks_is_found_out(utc: psycopg.Connection, vendor: Platform) -> None:
    log = new_log(utc)
    for row in log:
        if row.item_type not in ("product", "license", "platform_user", "table"):
            with pytest.raises((AssertionError, KeyError)):
                assert_replays(utc, [other for other in log if other is not row])


def test_a_row_created_twice_is_found_out(utc: psycopg.Connection, vendor: Platform) -> None:
    log = new_log(utc)
    with pytest.raises(ValueError, match="is created twice"):
        replay([*log, log[-1]])
