"""Products with their features and custom fields: each action, and none else."""

from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.expected import (
    Item,
    Row,
    changed,
    created,
    deleted,
    logged,
    rows,
    seen,
    signed_in,
)
from tests.support.helpers import Platform, recorded, value

ARCHIVED: LiteralString = "2026-03-04 05:06:07.5+02"
ARCHIVED_UTC = "2026-03-04T03:06:07.5+00:00"


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def product(p: Platform) -> Item:
    return Item(f"product:{p.product}", "Editor", p.account)


def updated(p: Platform, changes: dict[str, Any], *, is_cascade: bool = False) -> Row:
    return product(p).row("product_updated", changes, is_cascade=is_cascade)


def second_product(connection: psycopg.Connection, p: Platform) -> int:
    new: int = value(
        connection,
        "insert into licensing.products (account_id, name, code) values (%s, 'Viewer', 'VIEWER')"
        " returning id",
        p.account,
    )
    return new


# Products


def test_product_created(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        new: int = value(
            connection,
            "insert into licensing.products (account_id, name, code, authorization_method,"
            " is_active, archived_at, trial_days, floating_timeout, allows_vm, metadata)"
            " values (%s, 'Viewer', 'VIEWER', 'user', false, %s, 30, 120, false, %s)"
            " returning id",
            *(p.account, ARCHIVED, Jsonb({"a": [1, None]})),
        )
    assert seen(found) == [
        Item(f"product:{new}", "Viewer", p.account).row(
            "product_created",
            created(
                id=new,
                account_id=p.account,
                name="Viewer",
                code="VIEWER",
                authorization_method="user",
                is_active=False,
                archived_at=ARCHIVED_UTC,
                trial_days=30,
                floating_timeout=120,
                allows_vm=False,
                metadata={"a": [1, None]},
            ),
        )
    ]


def test_product_updated(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "update licensing.products set name = 'Editor 2', code = 'EDITOR2',"
        " authorization_method = 'user', trial_days = 14, floating_timeout = 60,"
        " allows_vm = false, metadata = %s, updated_at = now()",
        Jsonb({"tier": "pro"}),
    ) == [
        Item(f"product:{p.product}", "Editor 2", p.account).row(
            "product_updated",
            changed(
                name=("Editor", "Editor 2"),
                code=("EDITOR", "EDITOR2"),
                authorization_method=("license_key", "user"),
                trial_days=(None, 14),
                floating_timeout=(None, 60),
                allows_vm=(True, False),
                metadata=({}, {"tier": "pro"}),
            ),
        )
    ]


def test_product_activated(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("update licensing.products set is_active = false")
    assert logged(connection, "update licensing.products set is_active = true") == [
        product(p).row("product_activated", changed(is_active=(False, True)))
    ]


def test_product_deactivated(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(connection, "update licensing.products set is_active = false") == [
        product(p).row("product_deactivated", changed(is_active=(True, False)))
    ]


def test_product_archived(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(connection, "update licensing.products set archived_at = %s", ARCHIVED) == [
        product(p).row("product_archived", changed(archived_at=(None, ARCHIVED_UTC)))
    ]


def test_product_unarchived(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("update licensing.products set archived_at = %s", [ARCHIVED])
    assert logged(connection, "update licensing.products set archived_at = null") == [
        product(p).row("product_unarchived", changed(archived_at=(ARCHIVED_UTC, None)))
    ]


def test_an_archive_date_moved_is_an_update(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("update licensing.products set archived_at = %s", [ARCHIVED])
    assert logged(
        connection, "update licensing.products set archived_at = '2026-05-01 00:00Z'"
    ) == [updated(p, changed(archived_at=(ARCHIVED_UTC, "2026-05-01T00:00:00+00:00")))]


def test_each_column_of_one_update_goes_to_its_own_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(
        connection,
        "update licensing.products set is_active = false, archived_at = %s, trial_days = 7,"
        " code = code",
        ARCHIVED,
    ) == rows(
        product(p).row("product_deactivated", changed(is_active=(True, False))),
        product(p).row("product_archived", changed(archived_at=(None, ARCHIVED_UTC))),
        updated(p, changed(trial_days=(None, 7))),
    )


def test_a_product_set_to_what_it_is_is_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert (
        logged(
            connection,
            "update licensing.products set is_active = is_active, archived_at = null,"
            " name = name, metadata = '{}', updated_at = now()",
        )
        == []
    )


def test_product_deleted(connection: psycopg.Connection, p: Platform) -> None:
    other = second_product(connection, p)
    assert logged(connection, "delete from licensing.products where id = %s", other) == [
        Item(f"product:{other}", "Viewer", p.account).row(
            "product_deleted",
            deleted(
                id=other,
                account_id=p.account,
                name="Viewer",
                code="VIEWER",
                authorization_method="license_key",
                is_active=True,
                archived_at=None,
                trial_days=None,
                floating_timeout=None,
                allows_vm=True,
                metadata={},
            ),
        )
    ]


# Features and custom fields: parts of the product


def feature(p: Platform, key: int, code: str, **columns: object) -> dict[str, object]:
    return {"id": key, "product_id": p.product, "code": code, "max_consumption": None} | columns


def test_a_product_deletion_takes_features_and_fields_with_it(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute("delete from licensing.orders")
    found = logged(connection, "delete from licensing.products")
    assert [row.action for row in found if not row.is_cascade] == ["product_deleted"]
    assert [row for row in found if row.is_cascade] == rows(
        updated(
            p,
            deleted(
                "features/F1/",
                **feature(p, p.f1, "F1", name="Export", feature_type="activation"),
            )
            | deleted(
                "features/F2/",
                **feature(
                    p,
                    p.f2,
                    "F2",
                    name="Rendering",
                    feature_type="consumption",
                    max_consumption=100,
                ),
            ),
            is_cascade=True,
        ),
        updated(
            p,
            deleted(
                "custom_fields/seats/",
                id=p.seats,
                product_id=p.product,
                name="seats",
                data_type="number",
                default_value=None,
            ),
            is_cascade=True,
        ),
    )


def test_product_updated_by_features_that_come_one_row_per_product(
    connection: psycopg.Connection, p: Platform
) -> None:
    other = second_product(connection, p)
    with recorded(connection) as found:
        keys: dict[str, int] = dict(
            connection.execute(
                "insert into licensing.product_features (product_id, code, name, feature_type)"
                " values (%s, 'F3', 'Three', 'activation'), (%s, 'F4', 'Four', 'consumption'),"
                " (%s, 'F5', 'Five', 'activation') returning code, id",
                [p.product, p.product, other],
            ).fetchall()
        )
    three = feature(p, keys["F3"], "F3", name="Three", feature_type="activation")
    four = feature(p, keys["F4"], "F4", name="Four", feature_type="consumption")
    five = feature(p, keys["F5"], "F5", name="Five", feature_type="activation", product_id=other)
    assert seen(found) == rows(
        updated(p, created("features/F3/", **three) | created("features/F4/", **four)),
        Item(f"product:{other}", "Viewer", p.account).row(
            "product_updated", created("features/F5/", **five)
        ),
    )


def test_product_updated_by_features_that_change(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(
        connection,
        "update licensing.product_features set max_consumption = 50, name = 'Export'",
    ) == [
        updated(
            p,
            changed("features/F1/", id=p.f1, max_consumption=(None, 50))
            | changed(
                "features/F2/", id=p.f2, max_consumption=(100, 50), name=("Rendering", "Export")
            ),
        )
    ]


def test_a_renamed_feature_stands_under_its_new_code(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(
        connection, "update licensing.product_features set code = 'F9' where id = %s", p.f1
    ) == [updated(p, changed("features/F9/", id=p.f1, code=("F1", "F9")))]


def test_a_feature_moved_between_products_goes_from_one_and_comes_to_the_other(
    connection: psycopg.Connection, p: Platform
) -> None:
    other = second_product(connection, p)
    before = feature(p, p.f1, "F1", name="Export", feature_type="activation")
    assert logged(
        connection,
        "update licensing.product_features set product_id = %s where id = %s",
        *(other, p.f1),
    ) == rows(
        updated(p, deleted("features/F1/", **before)),
        Item(f"product:{other}", "Viewer", p.account).row(
            "product_updated", created("features/F1/", **before | {"product_id": other})
        ),
    )


def test_product_updated_by_a_feature_that_goes(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(connection, "delete from licensing.product_features where id = %s", p.f1) == [
        updated(
            p,
            deleted(
                "features/F1/",
                **feature(p, p.f1, "F1", name="Export", feature_type="activation"),
            ),
        )
    ]


def test_features_set_to_what_they_are_are_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert (
        logged(
            connection,
            "update licensing.product_features set code = code, name = name,"
            " max_consumption = max_consumption, updated_at = now()",
        )
        == []
    )


def test_product_updated_by_custom_fields(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as coming:
        site: int = value(
            connection,
            "insert into licensing.product_custom_fields (product_id, name, default_value)"
            " values (%s, 'site', 'HQ') returning id",
            p.product,
        )
    columns = {"product_id": p.product, "name": "site", "data_type": "text", "id": site}
    assert seen(coming) == [
        updated(p, created("custom_fields/site/", default_value="HQ", **columns))
    ]
    assert logged(connection, "update licensing.product_custom_fields set default_value = '1'") == [
        updated(
            p,
            changed("custom_fields/seats/", id=p.seats, default_value=(None, "1"))
            | changed("custom_fields/site/", id=site, default_value=("HQ", "1")),
        )
    ]
    assert logged(
        connection, "delete from licensing.product_custom_fields where id = %s", site
    ) == [updated(p, deleted("custom_fields/site/", default_value="1", **columns))]


@pytest.mark.parametrize(
    ("name", "segment"),
    [("a/b", "a~1b"), ("a~b", "a~0b"), ("~1/", "~01~1"), ("", ""), ('" \\ é', '" \\ é')],
)
def test_a_parts_name_is_one_segment_of_its_path(
    connection: psycopg.Connection, p: Platform, name: str, segment: str
) -> None:
    assert logged(
        connection,
        "update licensing.product_custom_fields set name = %s where id = %s",
        *(name, p.seats),
    ) == [updated(p, changed(f"custom_fields/{segment}/", id=p.seats, name=("seats", name)))]
    assert logged(
        connection,
        "update licensing.product_features set code = %s where id = %s",
        *(name, p.f1),
    ) == [updated(p, changed(f"features/{segment}/", id=p.f1, code=("F1", name)))]
