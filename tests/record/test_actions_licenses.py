"""Licenses themselves: each action, and none for what running systems write."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.expected import (
    REDACTED,
    Item,
    changed,
    created,
    deleted,
    logged,
    rows,
    seen,
    signed_in,
)
from tests.support.helpers import Platform, recorded, value

pytestmark = pytest.mark.quick

NOON = "2026-11-22T12:00:00+00:00"
LATER = "2026-11-23T12:00:00+00:00"


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def license_(p: Platform, label: str = "1234") -> Item:
    return Item(f"license:{p.license}", label, p.account)


def bare_license(p: Platform) -> dict[str, object]:
    """Return the audited columns of the license that the small vendor has."""
    return {
        "id": p.license,
        "account_id": p.account,
        "product_id": p.product,
        "order_id": p.order,
        "customer_id": p.customer,
        "license_key": REDACTED,
        "license_type": "subscription",
        "is_enabled": True,
        "is_trial": False,
        "is_floating": False,
        "floating_users": 0,
        "valid_from": None,
        "valid_until": None,
        "maintenance_until": None,
        "max_activations": 5,
        "transfer_limit": None,
        "max_consumption": None,
        "max_overages": None,
        "allows_overages": False,
        "allows_unlimited_consumption": False,
        "consumption_period": None,
        "allows_vm": True,
        "max_borrow_time": None,
        "note": None,
        "metadata": {},
        "reset_at": None,
        "consumption_reset_at": None,
    }


def add_devices_and_users(connection: psycopg.Connection, p: Platform) -> list[tuple[int, str]]:
    """Give the license 50 devices and 4 users, and return the users' ids and e-mails."""
    connection.execute(
        "insert into licensing.devices (license_id, hardware_id)"
        " select %s, 'hw-' || n from generate_series(2, 50) as n",
        [p.license],
    )
    users = connection.execute(
        "insert into licensing.license_users (account_id, email)"
        " select %s, 'user' || n || '@x.example' from generate_series(1, 4) as n"
        " returning id, email",
        [p.account],
    ).fetchall()
    connection.execute(
        "insert into licensing.license_user_assignments (license_id, license_user_id)"
        " select %s, unnest(%s::bigint[])",
        [p.license, [key for key, _ in users]],
    )
    return users


def test_license_created(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        new: int = value(
            connection,
            "insert into licensing.licenses (account_id, product_id, order_id, license_key,"
            " is_enabled, is_trial, is_floating, floating_users, valid_from, valid_until,"
            " maintenance_until, max_activations, transfer_limit, max_consumption, max_overages,"
            " allows_overages, allows_unlimited_consumption, consumption_period, allows_vm,"
            " max_borrow_time, note, metadata, reset_at, consumption_reset_at, times_activated,"
            " last_checked_at) values (%s, %s, %s, 'KEY-9876', false, true, true, 3, %s, %s, %s,"
            " null, 2, 9007199254740993, 10, true, true, 'month', false, 24, E'two\\nlines', %s,"
            " %s, %s, 7, now()) returning id",
            *(p.account, p.product, p.order, NOON, LATER, "infinity", Jsonb({"n": 1.10})),
            *(NOON, LATER),
        )
    assert seen(found) == [
        Item(f"license:{new}", "9876", p.account).row(
            "license_created",
            created(
                id=new,
                account_id=p.account,
                product_id=p.product,
                order_id=p.order,
                customer_id=None,
                license_key=REDACTED,
                license_type="perpetual",
                is_enabled=False,
                is_trial=True,
                is_floating=True,
                floating_users=3,
                valid_from=NOON,
                valid_until=LATER,
                maintenance_until="infinity",
                max_activations=None,
                transfer_limit=2,
                max_consumption=9007199254740993,
                max_overages=10,
                allows_overages=True,
                allows_unlimited_consumption=True,
                consumption_period="month",
                allows_vm=False,
                max_borrow_time=24,
                note="two\nlines",
                metadata={"n": 1.1},
                reset_at=NOON,
                consumption_reset_at=LATER,
            ),
        )
    ]


def test_license_updated(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "update licensing.licenses set license_type = 'consumption', is_trial = true,"
        " is_floating = true, floating_users = 3, valid_from = %s, valid_until = %s,"
        " maintenance_until = 'infinity', max_activations = null, transfer_limit = 2,"
        " max_consumption = 1000, max_overages = 10, allows_overages = true,"
        " allows_unlimited_consumption = true, consumption_period = 'month', allows_vm = false,"
        " max_borrow_time = 24, note = 'x', metadata = '{\"a\": 1}', customer_id = null,"
        " updated_at = now(), last_checked_at = now(), times_activated = 3",
        *(NOON, LATER),
    ) == [
        license_(p).row(
            "license_updated",
            changed(
                license_type=("subscription", "consumption"),
                is_trial=(False, True),
                is_floating=(False, True),
                floating_users=(0, 3),
                valid_from=(None, NOON),
                valid_until=(None, LATER),
                maintenance_until=(None, "infinity"),
                max_activations=(5, None),
                transfer_limit=(None, 2),
                max_consumption=(None, 1000),
                max_overages=(None, 10),
                allows_overages=(False, True),
                allows_unlimited_consumption=(False, True),
                consumption_period=(None, "month"),
                allows_vm=(True, False),
                max_borrow_time=(None, 24),
                note=(None, "x"),
                metadata=({}, {"a": 1}),
                customer_id=(p.customer, None),
            ),
        )
    ]


def test_a_changed_license_key_is_redacted_and_labels_the_row(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(connection, "update licensing.licenses set license_key = 'NEW-KEY-5678'") == [
        license_(p, "5678").row("license_updated", changed(license_key=REDACTED))
    ]


def test_license_reset(connection: psycopg.Connection, p: Platform) -> None:
    add_devices_and_users(connection, p)
    with recorded(connection) as found:
        connection.execute(
            "update licensing.licenses set reset_at = %s, times_activated = 0,"
            " total_consumption = 0, transfer_count = 0, floating_in_use = 0",
            [NOON],
        )
        connection.execute("update licensing.devices set is_active = false, updated_at = now()")
        connection.execute("update licensing.license_user_assignments set total_activations = 0")
        connection.execute("update licensing.license_features set total_consumption = 0")
    assert seen(found) == [license_(p).row("license_reset", changed(reset_at=(None, NOON)))]


def test_a_second_reset_is_one_again(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("update licensing.licenses set reset_at = %s", [NOON])
    assert logged(connection, "update licensing.licenses set reset_at = %s", LATER) == [
        license_(p).row("license_reset", changed(reset_at=(NOON, LATER)))
    ]
    assert logged(connection, "update licensing.licenses set reset_at = %s", LATER) == []


def test_a_reset_taken_back_is_an_update(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute(
        "update licensing.licenses set reset_at = %(t)s, consumption_reset_at = %(t)s", {"t": NOON}
    )
    assert logged(
        connection, "update licensing.licenses set reset_at = null, consumption_reset_at = null"
    ) == [
        license_(p).row(
            "license_updated", changed(reset_at=(NOON, None), consumption_reset_at=(NOON, None))
        )
    ]


def test_license_disabled(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(connection, "update licensing.licenses set is_enabled = false") == [
        license_(p).row("license_disabled", changed(is_enabled=(True, False)))
    ]


def test_license_enabled(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("update licensing.licenses set is_enabled = false")
    assert logged(connection, "update licensing.licenses set is_enabled = true") == [
        license_(p).row("license_enabled", changed(is_enabled=(False, True)))
    ]


def test_two_actions_in_one_update_are_two_rows(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute("update licensing.licenses set is_enabled = false")
    assert logged(
        connection, "update licensing.licenses set is_enabled = true, note = 'x'"
    ) == rows(
        license_(p).row("license_enabled", changed(is_enabled=(False, True))),
        license_(p).row("license_updated", changed(note=(None, "x"))),
    )


def test_license_consumption_reset(connection: psycopg.Connection, p: Platform) -> None:
    for old, new in ((None, NOON), (NOON, LATER)):
        assert logged(
            connection,
            "update licensing.licenses set consumption_reset_at = %s, total_consumption = 0",
            new,
        ) == [
            license_(p).row("license_consumption_reset", changed(consumption_reset_at=(old, new)))
        ]


def test_a_consumption_reset_with_a_reset_is_part_of_it(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(
        connection,
        "update licensing.licenses set reset_at = %s, consumption_reset_at = %s",
        *(NOON, LATER),
    ) == [
        license_(p).row(
            "license_reset", changed(reset_at=(None, NOON), consumption_reset_at=(None, LATER))
        )
    ]


def test_every_action_of_an_update_at_once(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "update licensing.licenses set reset_at = %s, is_enabled = false, note = 'x',"
        " license_key = 'NEW-KEY-5678', times_activated = 0",
        NOON,
    ) == rows(
        license_(p, "5678").row("license_reset", changed(reset_at=(None, NOON))),
        license_(p, "5678").row("license_disabled", changed(is_enabled=(True, False))),
        license_(p, "5678").row("license_updated", changed(note=(None, "x"), license_key=REDACTED)),
    )


def test_license_deleted(connection: psycopg.Connection, p: Platform) -> None:
    users = add_devices_and_users(connection, p)
    found = logged(connection, "delete from licensing.licenses")
    assert len(found) == 5
    assert found == rows(
        license_(p).row("license_deleted", deleted(**bare_license(p))),
        *(
            license_(p).row(
                "license_user_unassigned",
                deleted(
                    f"users/{email}/", license_id=p.license, license_user_id=key, max_activations=1
                ),
                is_cascade=True,
            )
            for key, email in users
        ),
    )


def test_a_part_deleted_by_hand_just_before_its_license_is_no_cascade(
    connection: psycopg.Connection, p: Platform
) -> None:
    ((key, email), *_) = add_devices_and_users(connection, p)
    with recorded(connection) as found:
        connection.execute(
            "delete from licensing.license_user_assignments where license_user_id = %s", [key]
        )
        connection.execute("delete from licensing.licenses")
    by_hand = license_(p).row(
        "license_user_unassigned",
        deleted(f"users/{email}/", license_id=p.license, license_user_id=key, max_activations=1),
    )
    assert [row for row in seen(found) if not row.is_cascade] == [
        license_(p).row("license_deleted", deleted(**bare_license(p))),
        by_hand,
    ]
    assert len(found) == 5


def test_many_licenses_in_one_update_are_a_row_each(
    connection: psycopg.Connection, p: Platform
) -> None:
    others = connection.execute(
        "insert into licensing.licenses (account_id, product_id, order_id, license_key, is_enabled)"
        " select %s, %s, %s, 'K-' || 1000 + n, n %% 2 = 0 from generate_series(1, 6) as n"
        " returning id, right(license_key, 4), is_enabled",
        [p.account, p.product, p.order],
    ).fetchall()
    enabled = [(p.license, "1234"), *((key, label) for key, label, is_on in others if is_on)]
    assert len(enabled) == 4
    assert logged(connection, "update licensing.licenses set is_enabled = false") == rows(
        *(
            Item(f"license:{key}", label, p.account).row(
                "license_disabled", changed(is_enabled=(True, False))
            )
            for key, label in enabled
        )
    )


# What is no action


@pytest.mark.parametrize(
    "assignments",
    [
        "is_enabled = is_enabled",
        "is_enabled = true, note = null, metadata = '{}', license_key = license_key",
        "last_checked_at = now()",
        "times_activated = times_activated + 1, total_consumption = 5, updated_at = now()",
        "floating_in_use = 1, transfer_count = 1",
        "times_activated = times_activated - 1",
    ],
)
def test_counters_and_columns_set_to_what_they_are_are_no_action(
    connection: psycopg.Connection, p: Platform, assignments: str
) -> None:
    connection.execute("update licensing.licenses set times_activated = 3")
    with recorded(connection) as found:
        updated = connection.execute(f"update licensing.licenses set {assignments}".encode())
        assert updated.rowcount == 1
    assert seen(found) == []


def test_an_update_of_no_rows_is_no_action(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        connection.execute("update licensing.licenses set note = 'x' where false")
        connection.execute("delete from licensing.licenses where false")
        connection.execute(
            "insert into licensing.customers (account_id, email) select 1, '' limit 0"
        )
    assert seen(found) == []
