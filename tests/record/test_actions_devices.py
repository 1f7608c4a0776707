"""Devices: what is done to them by hand is an action, what they do themselves is none."""

import psycopg
import pytest

from tests.support.expected import Item, changed, logged, rows, seen, signed_in
from tests.support.helpers import Platform, recorded

NOON = "2026-11-22T12:00:00+00:00"
LATER = "2026-11-23T12:00:00+00:00"


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def device(p: Platform, label: str = "workstation-1") -> Item:
    return Item(f"device:{p.device}", label, p.account, parent=f"license:{p.license}")


def test_device_reset(connection: psycopg.Connection, p: Platform) -> None:
    for old, new in ((None, NOON), (NOON, LATER)):
        assert logged(
            connection, "update licensing.devices set reset_at = %s, is_active = false", new
        ) == [device(p).row("device_reset", changed(reset_at=(old, new)))]


def test_device_blacklisted(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection, "update licensing.devices set is_blacklisted = true, is_active = false"
    ) == [device(p).row("device_blacklisted", changed(is_blacklisted=(False, True)))]


def test_device_unblacklisted(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("update licensing.devices set is_blacklisted = true")
    assert logged(connection, "update licensing.devices set is_blacklisted = false") == [
        device(p).row("device_unblacklisted", changed(is_blacklisted=(True, False)))
    ]


def test_device_borrowed(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(connection, "update licensing.devices set borrowed_until = %s", NOON) == [
        device(p).row("device_borrowed", changed(borrowed_until=(None, NOON)))
    ]


def test_a_borrow_moved_to_another_time_is_one_again(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute("update licensing.devices set borrowed_until = %s", [NOON])
    assert logged(connection, "update licensing.devices set borrowed_until = %s", LATER) == [
        device(p).row("device_borrowed", changed(borrowed_until=(NOON, LATER)))
    ]
    assert logged(connection, "update licensing.devices set borrowed_until = %s", LATER) == []


def test_device_borrow_released(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("update licensing.devices set borrowed_until = %s", [NOON])
    assert logged(connection, "update licensing.devices set borrowed_until = null") == [
        device(p).row("device_borrow_released", changed(borrowed_until=(NOON, None)))
    ]


def test_a_reset_that_ends_a_borrow_is_a_reset_alone(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute("update licensing.devices set borrowed_until = %s", [NOON])
    assert logged(
        connection, "update licensing.devices set reset_at = %s, borrowed_until = null", LATER
    ) == [
        device(p).row("device_reset", changed(reset_at=(None, LATER), borrowed_until=(NOON, None)))
    ]


def test_a_borrow_released_long_after_a_reset_is_a_release(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "update licensing.devices set reset_at = %s, borrowed_until = %s", [NOON, LATER]
    )
    assert logged(
        connection, "update licensing.devices set reset_at = reset_at, borrowed_until = null"
    ) == [device(p).row("device_borrow_released", changed(borrowed_until=(LATER, None)))]


def test_three_actions_in_one_update_are_three_rows(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute("update licensing.devices set borrowed_until = %s", [NOON])
    assert logged(
        connection,
        "update licensing.devices set reset_at = %s, borrowed_until = %s, is_blacklisted = true,"
        " hostname = null",
        *(LATER, LATER),
    ) == rows(
        device(p, "hw-1").row("device_reset", changed(reset_at=(None, LATER))),
        device(p, "hw-1").row("device_borrowed", changed(borrowed_until=(NOON, LATER))),
        device(p, "hw-1").row("device_blacklisted", changed(is_blacklisted=(False, True))),
    )


def test_many_devices_blacklisted_at_once_are_a_row_each(
    connection: psycopg.Connection, p: Platform
) -> None:
    others = connection.execute(
        "insert into licensing.devices (license_id, hardware_id)"
        " select %s, 'hw-' || n from generate_series(2, 4) as n returning id, hardware_id",
        [p.license],
    ).fetchall()
    assert logged(connection, "update licensing.devices set is_blacklisted = true") == rows(
        *(
            Item(f"device:{key}", label, p.account, parent=f"license:{p.license}").row(
                "device_blacklisted", changed(is_blacklisted=(False, True))
            )
            for key, label in ((p.device, "workstation-1"), *others)
        )
    )


# What is no action


def test_a_device_comes_and_goes_unseen(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        connection.execute(
            "insert into licensing.devices (license_id, hardware_id, borrowed_until, reset_at)"
            " values (%s, 'hw-2', now(), now())",
            [p.license],
        )
        connection.execute("delete from licensing.devices")
    assert seen(found) == []


@pytest.mark.parametrize(
    "assignments",
    [
        "last_seen_at = now()",
        "hostname = 'h', os = 'o', mac = 'm', ip = 'i', is_vm = true, is_active = false",
        "app_version = 'a', sdk_version = 's', last_seen_at = now(), updated_at = now()",
        "is_blacklisted = is_blacklisted, borrowed_until = borrowed_until, reset_at = reset_at",
    ],
)
def test_a_heartbeat_is_no_action(
    connection: psycopg.Connection, p: Platform, assignments: str
) -> None:
    with recorded(connection) as found:
        updated = connection.execute(f"update licensing.devices set {assignments}".encode())
        assert updated.rowcount == 1
    assert seen(found) == []


def test_the_last_device_deactivated_by_its_user_is_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "insert into licensing.license_user_assignments"
        " (license_id, license_user_id, total_activations) values (%s, %s, 1)",
        [p.license, p.license_user],
    )
    connection.execute("update licensing.licenses set times_activated = 1")
    connection.execute("update licensing.devices set license_user_id = %s", [p.license_user])
    with recorded(connection) as found:
        connection.execute("update licensing.devices set is_active = false, last_seen_at = now()")
        connection.execute(
            "update licensing.licenses set times_activated = times_activated - 1,"
            " last_checked_at = now()"
        )
        connection.execute(
            "update licensing.license_user_assignments"
            " set total_activations = total_activations - 1"
        )
        connection.execute("delete from licensing.devices")
    assert seen(found) == []


def test_a_device_outlives_its_license_user_unseen(
    connection: psycopg.Connection, p: Platform
) -> None:
    with recorded(connection) as found:
        connection.execute("update licensing.devices set license_user_id = %s", [p.license_user])
        connection.execute("delete from licensing.license_users")
    assert seen(found) == []
