"""A license's users, features and custom fields: each action, and none else."""

import psycopg
import pytest

from tests.support.expected import Item, changed, created, deleted, logged, rows, seen, signed_in
from tests.support.helpers import Platform, recorded, value

NOON = "2026-11-22T12:00:00+00:00"


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def license_(p: Platform) -> Item:
    return Item(f"license:{p.license}", "1234", p.account)


def second_license(connection: psycopg.Connection, p: Platform) -> int:
    new: int = value(
        connection,
        "insert into licensing.licenses (account_id, product_id, order_id, license_key)"
        " values (%s, %s, %s, 'KEY-5678') returning id",
        *(p.account, p.product, p.order),
    )
    return new


def assign(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute(
        "insert into licensing.license_user_assignments"
        " (license_id, license_user_id, max_activations) values (%s, %s, 3)",
        [p.license, p.license_user],
    )


def add_features(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute(
        "insert into licensing.license_features (license_id, product_feature_id, max_consumption)"
        " values (%s, %s, null), (%s, %s, 10)",
        [p.license, p.f1, p.license, p.f2],
    )


def feature(p: Platform, key: int, **columns: object) -> dict[str, object]:
    bare = {"max_consumption": None, "allows_overages": False, "expires_at": None}
    return {"license_id": p.license, "product_feature_id": key} | bare | columns


# Users


def test_license_user_assigned(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "insert into licensing.license_user_assignments"
        " (license_id, license_user_id, max_activations, total_activations) values (%s, %s, 3, 2)",
        *(p.license, p.license_user),
    ) == [
        license_(p).row(
            "license_user_assigned",
            created(
                "users/ana@x.example/",
                license_id=p.license,
                license_user_id=p.license_user,
                max_activations=3,
            ),
        )
    ]


def test_two_users_assigned_at_once_are_two_rows(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "insert into licensing.license_users (account_id, email) values (%s, 'a~/b@x.example')",
        [p.account],
    )
    found = logged(
        connection,
        "insert into licensing.license_user_assignments (license_id, license_user_id)"
        " select %s, id from licensing.license_users",
        p.license,
    )
    assert [row.action for row in found] == ["license_user_assigned"] * 2
    assert {name for row in found for name in row.changes or {}} == {
        f"users/{email}/{column}"
        for email in ("ana@x.example", "a~0~1b@x.example")
        for column in ("license_id", "license_user_id", "max_activations")
    }


def test_license_updated_by_a_users_limit(connection: psycopg.Connection, p: Platform) -> None:
    assign(connection, p)
    assert logged(
        connection,
        "update licensing.license_user_assignments set max_activations = null,"
        " total_activations = 1",
    ) == [
        license_(p).row(
            "license_updated",
            changed(
                "users/ana@x.example/", license_user_id=p.license_user, max_activations=(3, None)
            ),
        )
    ]


@pytest.mark.parametrize(
    "assignments",
    ["total_activations = total_activations - 1", "max_activations = max_activations"],
)
def test_a_users_counter_is_no_action(
    connection: psycopg.Connection, p: Platform, assignments: str
) -> None:
    assign(connection, p)
    connection.execute("update licensing.license_user_assignments set total_activations = 3")
    statement = f"update licensing.license_user_assignments set {assignments}".encode()
    with recorded(connection) as found:
        connection.execute(statement)
    assert seen(found) == []


def test_license_user_unassigned(connection: psycopg.Connection, p: Platform) -> None:
    assign(connection, p)
    assert logged(connection, "delete from licensing.license_user_assignments") == [
        license_(p).row(
            "license_user_unassigned",
            deleted(
                "users/ana@x.example/",
                license_id=p.license,
                license_user_id=p.license_user,
                max_activations=3,
            ),
        )
    ]


# Features


def test_license_features_updated_by_insert(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "insert into licensing.license_features"
        " (license_id, product_feature_id, max_consumption, allows_overages, expires_at,"
        " total_consumption) values (%s, %s, null, false, null, 0), (%s, %s, 10, true, %s, 7)",
        *(p.license, p.f1, p.license, p.f2, NOON),
    ) == [
        license_(p).row(
            "license_features_updated",
            created("features/F1/", **feature(p, p.f1))
            | created(
                "features/F2/",
                **feature(p, p.f2, max_consumption=10, allows_overages=True, expires_at=NOON),
            ),
        )
    ]


def test_license_features_updated_by_update(connection: psycopg.Connection, p: Platform) -> None:
    add_features(connection, p)
    assert logged(
        connection,
        "update licensing.license_features set max_consumption = 50,"
        " allows_overages = product_feature_id = %s, total_consumption = 1",
        p.f2,
    ) == [
        license_(p).row(
            "license_features_updated",
            changed("features/F1/", product_feature_id=p.f1, max_consumption=(None, 50))
            | changed(
                "features/F2/",
                product_feature_id=p.f2,
                max_consumption=(10, 50),
                allows_overages=(False, True),
            ),
        )
    ]


def test_license_features_updated_by_delete(connection: psycopg.Connection, p: Platform) -> None:
    add_features(connection, p)
    assert logged(connection, "delete from licensing.license_features") == [
        license_(p).row(
            "license_features_updated",
            deleted("features/F1/", **feature(p, p.f1))
            | deleted("features/F2/", **feature(p, p.f2, max_consumption=10)),
        )
    ]


def test_features_of_two_licenses_changed_at_once_are_two_rows(
    connection: psycopg.Connection, p: Platform
) -> None:
    add_features(connection, p)
    other = second_license(connection, p)
    assert logged(
        connection,
        "insert into licensing.license_features (license_id, product_feature_id) values (%s, %s)",
        *(other, p.f1),
    ) == [
        Item(f"license:{other}", "5678", p.account).row(
            "license_features_updated",
            created("features/F1/", **feature(p, p.f1, license_id=other)),
        )
    ]
    assert logged(
        connection,
        "update licensing.license_features set expires_at = %s where product_feature_id = %s",
        *(NOON, p.f1),
    ) == rows(
        *(
            Item(f"license:{key}", label, p.account).row(
                "license_features_updated",
                changed("features/F1/", product_feature_id=p.f1, expires_at=(None, NOON)),
            )
            for key, label in ((p.license, "1234"), (other, "5678"))
        )
    )


def test_a_feature_moved_between_licenses_goes_from_one_and_comes_to_the_other(
    connection: psycopg.Connection, p: Platform
) -> None:
    add_features(connection, p)
    other = second_license(connection, p)
    moved = feature(p, p.f2, max_consumption=10)
    assert logged(
        connection,
        "update licensing.license_features set license_id = %s where product_feature_id = %s",
        *(other, p.f2),
    ) == rows(
        license_(p).row("license_features_updated", deleted("features/F2/", **moved)),
        Item(f"license:{other}", "5678", p.account).row(
            "license_features_updated",
            created("features/F2/", **moved | {"license_id": other}),
        ),
    )


def test_two_features_of_one_code_on_a_license_are_told_apart_by_their_keys(
    connection: psycopg.Connection, p: Platform
) -> None:
    add_on: int = value(
        connection,
        "with product as (insert into licensing.products (account_id, name, code)"
        " values (%s, 'Add-on', 'ADD') returning id)"
        " insert into licensing.product_features (product_id, code, name, feature_type)"
        " select id, 'F1', 'Another', 'activation' from product returning id",
        p.account,
    )
    assert logged(
        connection,
        "insert into licensing.license_features (license_id, product_feature_id)"
        " select %s, unnest(%s::bigint[])",
        *(p.license, [p.f1, p.f2, add_on]),
    ) == [
        license_(p).row(
            "license_features_updated",
            created(f"features/F1#{p.license},{p.f1}/", **feature(p, p.f1))
            | created(f"features/F1#{p.license},{add_on}/", **feature(p, add_on))
            | created("features/F2/", **feature(p, p.f2)),
        )
    ]
    assert logged(
        connection,
        "update licensing.license_features set max_consumption = product_feature_id"
        " where product_feature_id <> %s",
        p.f2,
    ) == [
        license_(p).row(
            "license_features_updated",
            {
                f"features/F1#{p.license},{key}/{column}": {"old": old, "new": key}
                for key in (p.f1, add_on)
                for column, old in (("product_feature_id", key), ("max_consumption", None))
            },
        )
    ]


def test_a_features_consumption_is_no_action(connection: psycopg.Connection, p: Platform) -> None:
    add_features(connection, p)
    with recorded(connection) as found:
        connection.execute(
            "update licensing.license_features set total_consumption = total_consumption + 1"
        )
        connection.execute(
            "update licensing.license_features set max_consumption = max_consumption,"
            " total_consumption = total_consumption - 1, updated_at = now()"
        )
    assert seen(found) == []


# Custom fields


def custom_field(p: Platform, key: int, text: str | None) -> dict[str, object]:
    columns = {"id": key, "license_id": p.license, "product_custom_field_id": p.seats}
    return columns | {"value": text}


def add_field(connection: psycopg.Connection, p: Platform) -> int:
    new: int = value(
        connection,
        "insert into licensing.license_custom_fields (license_id, product_custom_field_id, value)"
        " values (%s, %s, '12') returning id",
        *(p.license, p.seats),
    )
    return new


def test_license_custom_field_created(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        new = add_field(connection, p)
    assert seen(found) == [
        license_(p).row(
            "license_custom_field_created",
            created("custom_fields/seats/", **custom_field(p, new, "12")),
        )
    ]


def test_license_custom_field_updated(connection: psycopg.Connection, p: Platform) -> None:
    key = add_field(connection, p)
    assert logged(connection, "update licensing.license_custom_fields set value = null") == [
        license_(p).row(
            "license_custom_field_updated",
            changed("custom_fields/seats/", id=key, value=("12", None)),
        )
    ]


def test_a_custom_field_set_to_what_it_is_is_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    add_field(connection, p)
    assert (
        logged(
            connection,
            "update licensing.license_custom_fields set value = '12', updated_at = now()",
        )
        == []
    )


def test_license_custom_field_deleted(connection: psycopg.Connection, p: Platform) -> None:
    key = add_field(connection, p)
    assert logged(connection, "delete from licensing.license_custom_fields") == [
        license_(p).row(
            "license_custom_field_deleted",
            deleted("custom_fields/seats/", **custom_field(p, key, "12")),
        )
    ]


def test_parts_are_named_as_they_are_called_at_the_time(
    connection: psycopg.Connection, p: Platform
) -> None:
    key = add_field(connection, p)
    connection.execute("update licensing.product_custom_fields set name = 'places/all'")
    connection.execute("update licensing.licenses set license_key = 'KEY-5678'")
    assert logged(connection, "update licensing.license_custom_fields set value = '13'") == [
        Item(f"license:{p.license}", "5678", p.account).row(
            "license_custom_field_updated",
            changed("custom_fields/places~1all/", id=key, value=("12", "13")),
        )
    ]
