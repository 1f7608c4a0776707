"""Customers, orders and their managers: each action, and none else."""

from collections import Counter

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.expected import (
    CUSTOMER_DETAILS,
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


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def customer(p: Platform) -> Item:
    return Item(f"customer:{p.customer}", "buyer@x.example", p.account)


def order(p: Platform) -> Item:
    return Item(f"order:{p.order}", "PO-1", p.account)


def license_(p: Platform) -> Item:
    return Item(f"license:{p.license}", "1234", p.account)


def new_customer(connection: psycopg.Connection, p: Platform, email: str) -> int:
    new: int = value(
        connection,
        "insert into licensing.customers (account_id, email) values (%s, %s) returning id",
        *(p.account, email),
    )
    return new


def bare_customer(p: Platform, key: int, email: str) -> dict[str, object]:
    """Return the columns of a customer of whom only the e-mail is known."""
    known = {"id": key, "account_id": p.account, "email": email, "metadata": {}}
    return known | dict.fromkeys(CUSTOMER_DETAILS)


# Customers


def test_customer_created(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        new: int = value(
            connection,
            "insert into licensing.customers (account_id, email, first_name, last_name,"
            " company_name, phone, address, postcode, city, state, country, reference, metadata)"
            " values (%s, 'c@x.example', 'F', 'L', 'Co', '1', 'St 2', '00100', 'Oslo', 'S', 'NO',"
            " 'R-1', %s) returning id",
            *(p.account, Jsonb({"vip": True})),
        )
    assert seen(found) == [
        Item(f"customer:{new}", "c@x.example", p.account).row(
            "customer_created",
            created(
                id=new,
                account_id=p.account,
                email="c@x.example",
                first_name="F",
                last_name="L",
                company_name="Co",
                phone="1",
                address="St 2",
                postcode="00100",
                city="Oslo",
                state="S",
                country="NO",
                reference="R-1",
                metadata={"vip": True},
            ),
        )
    ]


def test_customer_updated(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "update licensing.customers set email = 'c@x.example', first_name = 'F', last_name = 'L',"
        " company_name = null, phone = '1', address = 'St 2', postcode = '00100', city = 'Oslo',"
        " state = 'S', country = 'NO', reference = 'R-1', metadata = %s, updated_at = now()",
        Jsonb({"vip": True}),
    ) == [
        Item(f"customer:{p.customer}", "c@x.example", p.account).row(
            "customer_updated",
            changed(
                email=("buyer@x.example", "c@x.example"),
                first_name=(None, "F"),
                last_name=(None, "L"),
                company_name=("Buyer Ltd", None),
                phone=(None, "1"),
                address=(None, "St 2"),
                postcode=(None, "00100"),
                city=(None, "Oslo"),
                state=(None, "S"),
                country=(None, "NO"),
                reference=(None, "R-1"),
                metadata=({}, {"vip": True}),
            ),
        )
    ]


def test_customer_deleted(connection: psycopg.Connection, p: Platform) -> None:
    new = new_customer(connection, p, "c@x.example")
    assert logged(connection, "delete from licensing.customers where id = %s", new) == [
        Item(f"customer:{new}", "c@x.example", p.account).row(
            "customer_deleted", deleted(**bare_customer(p, new, "c@x.example"))
        )
    ]


def test_a_deleted_customer_leaves_its_licenses_updated(
    connection: psycopg.Connection, p: Platform
) -> None:
    new = new_customer(connection, p, "c@x.example")
    connection.execute("update licensing.licenses set customer_id = %s", [new])
    assert logged(connection, "delete from licensing.customers where id = %s", new) == rows(
        Item(f"customer:{new}", "c@x.example", p.account).row(
            "customer_deleted", deleted(**bare_customer(p, new, "c@x.example"))
        ),
        license_(p).row("license_updated", changed(customer_id=(new, None))),
    )


def test_a_customer_with_orders_stays(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:  # noqa: SIM117 (the savepoint must end inside)
        with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
            connection.execute("delete from licensing.customers")
    assert seen(found) == []


def test_a_merged_customer_hands_over_orders_and_licenses(
    connection: psycopg.Connection, p: Platform
) -> None:
    kept = new_customer(connection, p, "kept@x.example")
    with recorded(connection) as found:
        for table in ("orders", "licenses"):
            connection.execute(
                f"update licensing.{table} set customer_id = %s where customer_id = %s",
                [kept, p.customer],
            )
        connection.execute("delete from licensing.customers where id = %s", [p.customer])
    merged = bare_customer(p, p.customer, "buyer@x.example") | {"company_name": "Buyer Ltd"}
    assert seen(found) == rows(
        order(p).row("order_updated", changed(customer_id=(p.customer, kept))),
        license_(p).row("license_updated", changed(customer_id=(p.customer, kept))),
        customer(p).row("customer_deleted", deleted(**merged)),
    )


def test_a_customer_set_to_what_it_is_is_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert (
        logged(
            connection,
            "update licensing.customers set email = email, phone = null, metadata = '{}',"
            " updated_at = now()",
        )
        == []
    )


# Orders


def test_order_created(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        new: int = value(
            connection,
            "insert into licensing.orders (account_id, customer_id, store_id, campaign, is_test,"
            " is_trial) values (%s, %s, 'S-1', 'Spring', true, true) returning id",
            *(p.account, p.customer),
        )
    assert seen(found) == [
        Item(f"order:{new}", "S-1", p.account).row(
            "order_created",
            created(
                id=new,
                account_id=p.account,
                customer_id=p.customer,
                store_id="S-1",
                reference=None,
                campaign="Spring",
                is_test=True,
                is_trial=True,
            ),
        )
    ]


def test_order_updated(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "update licensing.orders set store_id = 'S-1', reference = 'PO-2', campaign = 'Spring',"
        " is_test = true, is_trial = true, updated_at = now()",
    ) == [
        Item(f"order:{p.order}", "PO-2", p.account).row(
            "order_updated",
            changed(
                store_id=(None, "S-1"),
                reference=("PO-1", "PO-2"),
                campaign=(None, "Spring"),
                is_test=(False, True),
                is_trial=(False, True),
            ),
        )
    ]


def test_an_order_set_to_what_it_is_is_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert (
        logged(
            connection,
            "update licensing.orders set reference = 'PO-1', is_test = is_test, updated_at = now()",
        )
        == []
    )


def test_order_manager_added(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "insert into licensing.order_managers (order_id, license_user_id) values (%s, %s)",
        *(p.order, p.license_user),
    ) == [
        order(p).row(
            "order_manager_added",
            created("managers/ana@x.example/", order_id=p.order, license_user_id=p.license_user),
        )
    ]


def test_order_manager_removed(connection: psycopg.Connection, p: Platform) -> None:
    add_manager(connection, p)
    assert logged(connection, "delete from licensing.order_managers") == [
        order(p).row(
            "order_manager_removed",
            deleted("managers/ana@x.example/", order_id=p.order, license_user_id=p.license_user),
        )
    ]


def add_manager(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute(
        "insert into licensing.order_managers (order_id, license_user_id) values (%s, %s)",
        [p.order, p.license_user],
    )


def test_order_deleted(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("delete from licensing.licenses")
    assert logged(connection, "delete from licensing.orders") == [order_deleted(p)]


def order_deleted(p: Platform) -> Row:
    return order(p).row(
        "order_deleted",
        deleted(
            id=p.order,
            account_id=p.account,
            customer_id=p.customer,
            store_id=None,
            reference="PO-1",
            campaign=None,
            is_test=False,
            is_trial=False,
        ),
    )


def test_an_order_deletion_takes_licenses_and_managers_with_it(
    connection: psycopg.Connection, p: Platform
) -> None:
    add_manager(connection, p)
    connection.execute(
        "insert into licensing.license_features (license_id, product_feature_id) values (%s, %s)",
        [p.license, p.f1],
    )
    connection.execute(
        "insert into licensing.license_user_assignments (license_id, license_user_id)"
        " values (%s, %s)",
        [p.license, p.license_user],
    )
    field: int = value(
        connection,
        "insert into licensing.license_custom_fields"
        " (license_id, product_custom_field_id, value) values (%s, %s, '12') returning id",
        *(p.license, p.seats),
    )
    key: int = p.license
    found = logged(connection, "delete from licensing.orders")
    gone = next(row for row in found if row.action == "license_deleted")
    assert gone.changes is not None
    assert gone.changes["license_key"] == {"redacted": True}
    assert gone.changes["max_activations"] == {"old": 5}
    assert found == rows(
        order_deleted(p),
        order(p).row(
            "order_manager_removed",
            deleted("managers/ana@x.example/", order_id=p.order, license_user_id=p.license_user),
            is_cascade=True,
        ),
        license_(p).row("license_deleted", gone.changes, is_cascade=True),
        license_(p).row(
            "license_features_updated",
            deleted(
                "features/F1/",
                license_id=key,
                product_feature_id=p.f1,
                max_consumption=None,
                allows_overages=False,
                expires_at=None,
            ),
            is_cascade=True,
        ),
        license_(p).row(
            "license_user_unassigned",
            deleted(
                "users/ana@x.example/",
                license_id=key,
                license_user_id=p.license_user,
                max_activations=1,
            ),
            is_cascade=True,
        ),
        license_(p).row(
            "license_custom_field_deleted",
            deleted(
                "custom_fields/seats/",
                id=field,
                license_id=key,
                product_custom_field_id=p.seats,
                value="12",
            ),
            is_cascade=True,
        ),
    )


def test_many_orders_deleted_at_once_name_each_license_by_its_own_order(
    connection: psycopg.Connection, p: Platform
) -> None:
    count = 20
    connection.execute(
        "with o as (insert into licensing.orders (account_id, customer_id, reference)"
        " select %(account)s, %(customer)s, 'PO-' || n from generate_series(2, %(count)s) as n"
        " returning id, reference), l as (insert into licensing.licenses"
        " (account_id, product_id, order_id, license_key)"
        " select %(account)s, %(product)s, id, 'XX-' || right('000' || substr(reference, 4), 4)"
        " from o returning id) insert into licensing.license_user_assignments"
        " (license_id, license_user_id) select id, %(user)s from l",
        {
            "account": p.account,
            "customer": p.customer,
            "product": p.product,
            "user": p.license_user,
            "count": count,
        },
    )
    found = logged(connection, "delete from licensing.orders where reference <> 'PO-1'")
    numbers = range(2, count + 1)
    assert Counter((row.action, row.label, row.is_cascade) for row in found) == Counter(
        [("order_deleted", f"PO-{n}", False) for n in numbers]
        + [("license_deleted", f"000{n}"[-4:], True) for n in numbers]
        + [("license_user_unassigned", f"000{n}"[-4:], True) for n in numbers]
    )
    assert {row.account for row in found} == {str(p.account)}


def test_license_users_come_and_go_unseen(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        connection.execute("update licensing.license_users set initial_password = 'canary'")
        connection.execute("delete from licensing.license_users")
    assert seen(found) == []
