"""What tests do again and again: read the new rows of the log, and set up a small platform."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One row of audit.log, with names in short for what a row is about."""

    id: int
    tx: int
    occurred_at: datetime
    account_id: str
    action: str
    item_type: str
    item_id: str
    item_label: str | None
    parent_type: str | None
    parent_id: str | None
    actor_type: str
    actor_id: str
    actor_label: str | None
    on_behalf_of_type: str | None
    on_behalf_of_id: str | None
    on_behalf_of_label: str | None
    db_role: str
    application: str
    is_cascade: bool
    changes: dict[str, Any] | None
    context: dict[str, Any] | None
    moved: dict[str, Any] | None

    @property
    def is_told_twice(self) -> bool:
        """Whether it tells an item as it was what another row tells it as it is."""
        return "to" in (self.moved or {})

    @property
    def item(self) -> str:
        """The item in short, `license:42`."""
        return f"{self.item_type}:{self.item_id}"

    @property
    def parent(self) -> str | None:
        """The item on whose page the row is shown too, `license:42`."""
        return self.parent_type and f"{self.parent_type}:{self.parent_id}"

    @property
    def actor(self) -> str:
        """Who did it, `platform_user:7`."""
        return f"{self.actor_type}:{self.actor_id}"

    @property
    def on_behalf_of(self) -> tuple[str | None, str | None, str | None]:
        """Type, id and label of whom the actor did it for."""
        return self.on_behalf_of_type, self.on_behalf_of_id, self.on_behalf_of_label


def value(conn: psycopg.Connection, query: LiteralString, *parameters: object) -> Any:
    """Return the only value of the only row that a query or an insert … returning gives."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(query, parameters)
        (found,) = cursor.fetchall()
        return found


def newest(conn: psycopg.Connection) -> int:
    """Return the id of the newest row that this session sees, 0 for an empty log."""
    mark: int = value(conn, "select coalesce(max(id), 0) from audit.log")
    return mark


def new_log(conn: psycopg.Connection, since: int = 0) -> list[LogRow]:
    """Return the rows with a greater id than `since` (see `newest`), sorted by id.

    The session must be allowed to read audit.log: the owner's or a superuser's.
    """
    names = ", ".join(one.name for one in fields(LogRow))
    with conn.cursor(row_factory=class_row(LogRow)) as cursor:
        cursor.execute(
            f"select {names} from audit.events where id > %s order by id".encode(), [since]
        )
        return cursor.fetchall()


@contextmanager
def recorded(conn: psycopg.Connection) -> Iterator[list[LogRow]]:
    """Give a list that holds, after the block, the rows of the log added inside it."""
    mark = newest(conn)
    rows: list[LogRow] = []
    yield rows
    rows += new_log(conn, mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The ids of the rows that `platform` inserted."""

    account: int
    admin: int
    colleague: int
    permission_template: int
    notification_policy: int
    product: int
    f1: int
    f2: int
    seats: int
    customer: int
    order: int
    license: int
    license_user: int
    device: int


def platform(conn: psycopg.Connection, domain: str = "x.example") -> Platform:
    """Insert one small vendor, whose people all have their e-mail in `domain`.

    A second vendor in the same database needs another domain. The license has a device, and no
    features, custom fields, users or order managers yet; nothing is committed.
    """
    account: int = value(
        conn, "insert into licensing.accounts (name) values (%s) returning id", f"Vendor {domain}"
    )
    admin, colleague = _people(conn, account, domain)
    permission_template, notification_policy = _settings(conn, account)
    product, f1, f2, seats = _product(conn, account)
    customer: int = value(
        conn,
        "insert into licensing.customers (account_id, email, company_name) values (%s, %s, %s)"
        " returning id",
        *(account, f"buyer@{domain}", "Buyer Ltd"),
    )
    order: int = value(
        conn,
        "insert into licensing.orders (account_id, customer_id, reference) values (%s, %s, %s)"
        " returning id",
        *(account, customer, "PO-1"),
    )
    license_: int = value(
        conn,
        "insert into licensing.licenses (account_id, product_id, order_id, customer_id,"
        " license_key, license_type, max_activations) values (%s, %s, %s, %s, %s, %s, %s)"
        " returning id",
        *(account, product, order, customer, "AAAA-BBBB-CCCC-1234", "subscription", 5),
    )
    return Platform(
        account=account,
        admin=admin,
        colleague=colleague,
        permission_template=permission_template,
        notification_policy=notification_policy,
        product=product,
        f1=f1,
        f2=f2,
        seats=seats,
        customer=customer,
        order=order,
        license=license_,
        license_user=value(
            conn,
            "insert into licensing.license_users (account_id, email, first_name)"
            " values (%s, %s, %s) returning id",
            *(account, f"ana@{domain}", "Ana"),
        ),
        device=value(
            conn,
            "insert into licensing.devices (license_id, hardware_id, hostname)"
            " values (%s, %s, %s) returning id",
            *(license_, "hw-1", "workstation-1"),
        ),
    )


def _people(conn: psycopg.Connection, account: int, domain: str) -> list[int]:
    """Insert an administrator and a colleague who may read licenses; return their ids."""
    people: list[int] = []
    for name, is_admin, permissions in (
        ("admin", True, {}),
        ("colleague", False, {"licenses": "read"}),
    ):
        person: int = value(
            conn,
            "insert into licensing.platform_users (email, first_name) values (%s, %s) returning id",
            *(f"{name}@{domain}", name.title()),
        )
        conn.execute(
            "insert into licensing.memberships"
            " (account_id, platform_user_id, is_admin, permissions) values (%s, %s, %s, %s)",
            (account, person, is_admin, Jsonb(permissions)),
        )
        people.append(person)
    return people


def _settings(conn: psycopg.Connection, account: int) -> tuple[int, int]:
    """Insert a template of permissions and a notification policy; return their ids."""
    return (
        value(
            conn,
            "insert into licensing.user_permission_templates (account_id, name)"
            " values (%s, %s) returning id",
            *(account, "Support"),
        ),
        value(
            conn,
            "insert into licensing.notification_policies (account_id, event_type, recipients)"
            " values (%s, %s, %s) returning id",
            *(account, "license_expiring", ["ops@x.example"]),
        ),
    )


def _product(conn: psycopg.Connection, account: int) -> tuple[int, int, int, int]:
    """Insert a product with features F1 and F2 and custom field seats; return their ids."""
    product: int = value(
        conn,
        "insert into licensing.products (account_id, name, code) values (%s, %s, %s) returning id",
        *(account, "Editor", "EDITOR"),
    )
    feature = (
        "insert into licensing.product_features"
        " (product_id, code, name, feature_type, max_consumption) values (%s, %s, %s, %s, %s)"
        " returning id"
    )
    return (
        product,
        value(conn, feature, product, "F1", "Export", "activation", None),
        value(conn, feature, product, "F2", "Rendering", "consumption", 100),
        value(
            conn,
            "insert into licensing.product_custom_fields (product_id, name, data_type)"
            " values (%s, %s, %s) returning id",
            *(product, "seats", "number"),
        ),
    )
