"""What is sold: customers, orders and licenses, from the shop, by phone, by import and by sync."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from auditdb._demo import people
from auditdb._demo.world import Participant, acting, by_hand, loading, now, one, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from auditdb._demo.world import Product, Vendor, World

SHOP = Participant("api_key", "key_5f3c", "Web shop", "public-api")
CRM = Participant("integration", "crm", "CRM sync", "crm-sync")

_CAMPAIGNS = ("spring-sale", "newsletter", "trade-fair", "referral")
_TYPES = ("perpetual", "subscription", "time_limited", "consumption")


@dataclass(frozen=True, slots=True)
class Sale:
    """What a checkout made."""

    customer: int
    order: int
    license: int
    product: Product
    manager: Participant
    """Who looks after the license at the customer's."""
    user: Participant
    """Who uses it."""


def checkout(world: World, vendor: Vendor) -> Sale:
    """Somebody buys a license in the vendor's shop, which writes through the API."""
    tables = world.tables
    product = world.random.choice(vendor.products)
    buyer = people.customer(world.random)
    with acting(world, SHOP, **request(world)) as connection:
        customer = _insert(connection, tables["customers"], {"account_id": vendor.account, **buyer})
        order = _insert(connection, tables["orders"], _order(world, vendor, customer))
        number = _insert(
            connection, tables["licenses"], _license(world, vendor, product, order, customer)
        )
        features = [
            {"license_id": number, "product_feature_id": feature, "max_consumption": limit}
            for feature, limit in (
                (product.features["EXPORT"], None),
                (product.features["CLOUD"], 100),
            )
        ]
        connection.execute(insert(tables["license_features"]).values(features))
        manager, user = _users(world, connection, vendor, buyer)
        managing = {"order_id": order, "license_user_id": int(manager.id)}
        connection.execute(insert(tables["order_managers"]), managing)
    return Sale(customer, order, number, product, manager, user)


def _insert(connection: Connection, table: Any, columns: dict[str, Any]) -> int:
    return int(connection.scalars(insert(table).returning(table.c.id), columns).one())


def _order(world: World, vendor: Vendor, customer: int) -> dict[str, Any]:
    return {
        "account_id": vendor.account,
        "customer_id": customer,
        "store_id": f"web-{world.random.randint(10_000, 99_999)}",
        "reference": f"PO-{world.random.randint(1000, 9999)}",
        "campaign": world.random.choice(_CAMPAIGNS),
    }


def _license(
    world: World, vendor: Vendor, product: Product, order: int, customer: int
) -> dict[str, Any]:
    kind = world.random.choice(_TYPES)
    today = now().replace(hour=0, minute=0, second=0)
    ends = None if kind == "perpetual" else today + timedelta(days=365)
    return {
        "account_id": vendor.account,
        "product_id": product.id,
        "order_id": order,
        "customer_id": customer,
        "license_key": people.license_key(world.random),
        "license_type": kind,
        "valid_from": today,
        "valid_until": ends,
        "maintenance_until": today + timedelta(days=365),
        "max_activations": world.random.choice((1, 2, 5, 10)),
        "max_consumption": 1000 if kind == "consumption" else None,
        "consumption_period": "month" if kind == "consumption" else None,
    }


def _users(
    world: World, connection: Connection, vendor: Vendor, buyer: dict[str, Any]
) -> tuple[Participant, Participant]:
    """Make the customer's license manager, the buyer, and a colleague who uses the license."""
    colleague = people.person(world.random)
    while colleague.first_name == buyer["first_name"]:
        colleague = people.person(world.random)
    host = buyer["email"].partition("@")[2]
    both = []
    for first, last, email, is_manager in (
        (buyer["first_name"], buyer["last_name"], buyer["email"], True),
        (colleague.first_name, colleague.last_name, f"{colleague.local_part}@{host}", False),
    ):
        columns = {
            "account_id": vendor.account,
            "email": email,
            "first_name": first,
            "last_name": last,
            "initial_password": people.hexadecimal(world.random, 16),
            "is_manager": is_manager,
        }
        number = _insert(connection, world.tables["license_users"], columns)
        kind, application = (
            ("license_manager", "portal") if is_manager else ("end_user", "license-server")
        )
        both.append(Participant(kind, str(number), email, application))
    return both[0], both[1]


def by_phone(world: World, vendor: Vendor) -> Iterator[None]:
    """Somebody of the vendor takes down a customer and an order, and then corrects them."""
    tables, seller = world.tables, vendor.staff[2]
    with acting(world, seller, **request(world)) as connection:
        columns = {"account_id": vendor.account, **people.customer(world.random)}
        customer = _insert(connection, tables["customers"], columns)
        order = _insert(connection, tables["orders"], _order(world, vendor, customer))
    yield
    with acting(world, seller, **request(world)) as connection:
        moved = people.home(world.random) | {"state": None, "phone": people.phone(world.random)}
        customers, orders = tables["customers"], tables["orders"]
        connection.execute(update(customers).where(customers.c.id == customer).values(moved))
        changed = {"reference": f"PO-{world.random.randint(1000, 9999)}-B", "campaign": None}
        connection.execute(update(orders).where(orders.c.id == order).values(changed))
    yield


def hand_over(world: World, sale: Sale) -> Iterator[None]:
    """A customer moves, and the manager of its order hands the order over to a colleague."""
    managers, customers = world.tables["order_managers"], world.tables["customers"]
    with acting(world, sale.manager, **request(world)) as connection:
        moved = update(customers).where(customers.c.id == sale.customer)
        connection.execute(moved.values(people.home(world.random)))
    yield
    with acting(world, sale.manager, **request(world)) as connection:
        colleague = {"order_id": sale.order, "license_user_id": int(sale.user.id)}
        connection.execute(insert(managers), colleague)
    yield
    with acting(world, sale.manager, **request(world)) as connection:
        mine = managers.c.license_user_id == int(sale.manager.id)
        connection.execute(delete(managers).where(managers.c.order_id == sale.order, mine))
    yield


def try_out(world: World, vendor: Vendor) -> Iterator[None]:
    """Somebody tries out the shop, and deletes the order, and with it the license."""
    orders, customers, tester = world.tables["orders"], world.tables["customers"], vendor.staff[1]
    sale = checkout(world, vendor)
    with acting(world, tester, **request(world)) as connection:
        connection.execute(update(orders).where(orders.c.id == sale.order).values(is_test=True))
    yield
    with acting(world, tester, reason="test order", **request(world)) as connection:
        connection.execute(delete(orders).where(orders.c.id == sale.order))
    yield
    with acting(world, tester, reason="test order", **request(world)) as connection:
        connection.execute(delete(customers).where(customers.c.id == sale.customer))
    yield


def refund(world: World, vendor: Vendor) -> Iterator[None]:
    """Somebody gets the money back, and loses the license; the order is kept."""
    licenses = world.tables["licenses"]
    sale = checkout(world, vendor)
    with acting(world, vendor.staff[2], reason="refund", **request(world)) as connection:
        connection.execute(delete(licenses).where(licenses.c.id == sale.license))
    yield


def synchronize(world: World, vendor: Vendor) -> Iterator[None]:
    """The vendor's customer relations system sends what it knows of some of the new customers."""
    customers = world.tables["customers"]
    with acting(world, CRM, batch=people.hexadecimal(world.random, 8)) as connection:
        mine = select(customers.c.id).where(customers.c.account_id == vendor.account)
        known = connection.scalars(mine.order_by(customers.c.id.desc()).limit(20)).all()
        rows = [
            {
                "number": number,
                "metadata": {"crm_id": f"C-{number}", "tier": world.random.choice("ABC")},
                "reference": f"C-{number}",
            }
            for number in sorted(world.random.sample(known, min(5, len(known))))
        ]
        connection.execute(
            update(customers)
            .where(customers.c.id == bindparam("number"))
            .values(metadata=bindparam("metadata"), reference=bindparam("reference")),
            rows,
        )
    yield


def correct_by_hand(world: World, vendor: Vendor) -> None:
    """A database administrator repairs a row in psql, without saying who is doing it."""
    customers = world.tables["customers"]
    with world.engines["portal"].connect() as connection:
        mine = select(customers.c.id).where(customers.c.account_id == vendor.account)
        number = one(world, connection, mine)
    with by_hand(world, "psql") as cursor:
        cursor.execute(
            "update licensing.customers set company_name = company_name || ' Ltd' where id = %s",
            (number,),
        )


def import_customers(world: World, vendor: Vendor, count: int) -> Iterator[None]:
    """Somebody of the vendor loads a file of `count` customers, each with an order and a license.

    It is one transaction of psycopg's COPY. Yields after each of its three parts.
    """
    admin = vendor.staff[0]
    importer = Participant(admin.type, admin.id, admin.label, "bulk-import")
    with loading(world, importer, file="customers.csv", **request(world)) as cursor:
        customers, orders, licenses = (
            _reserve(cursor, table, count) for table in ("customers", "orders", "licenses")
        )
        rows = [
            {"id": number, "account_id": vendor.account, **people.customer(world.random)}
            for number in customers
        ]
        _copy(cursor, "customers", rows)
        yield
        rows = [
            {"id": number, **_order(world, vendor, customer)}
            for number, customer in zip(orders, customers, strict=True)
        ]
        _copy(cursor, "orders", rows)
        yield
        rows = [
            {"id": number}
            | _license(world, vendor, world.random.choice(vendor.products), order, customer)
            for number, order, customer in zip(licenses, orders, customers, strict=True)
        ]
        _copy(cursor, "licenses", rows)
        yield


def _reserve(cursor: psycopg.Cursor, table: str, count: int) -> list[int]:
    sequence = "select nextval(pg_get_serial_sequence(%s, 'id')) from generate_series(1, %s)"
    cursor.execute(sequence, (f"licensing.{table}", count))
    return [number for (number,) in cursor]


def _copy(cursor: psycopg.Cursor, table: str, rows: list[dict[str, Any]]) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, rows[0]))
    into = sql.SQL("copy licensing.{} ({}) from stdin").format(sql.Identifier(table), columns)
    with cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))
