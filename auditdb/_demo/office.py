"""What a vendor's own people do: colleagues, templates of permissions, notifications, products."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, delete, insert, select, update
from sqlalchemy.dialects import postgresql

from auditdb._demo import people
from auditdb._demo.world import Participant, Product, Vendor, acting, ids, now, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditdb._demo.world import World

SIGN_UP = Participant("system", "sign-up", "Sign-up", "portal")
VENDORS = {
    "Kestrel CAD": ("Draft", "Render", "Viewer"),
    "Lumen Audio": ("Studio", "Live"),
    "Tidewater GIS": ("Maps", "Survey"),
}
"""The vendors, with their products. What is shown in the end is the first one's log."""

_CONSULTANT = {"email": "hana@consulting.example", "first_name": "Hana", "last_name": "Weber"}
_FEATURES = (
    {"code": "EXPORT", "name": "Export to other formats", "feature_type": "activation"},
    {"code": "CLOUD", "name": "Cloud hours", "feature_type": "consumption", "max_consumption": 500},
    {"code": "API", "name": "Scripting", "feature_type": "activation"},
)
_FIELDS = (
    {"name": "department", "data_type": "text", "default_value": None},
    {"name": "seats", "data_type": "number", "default_value": "1"},
)
_TEMPLATES = ("Support", "Sales", "Auditors", "Resellers", "Interns")
_RESOURCES = ("customers", "devices", "licenses", "orders", "products")
_EVENTS = ("license_expiring", "license_created", "device_limit_reached", "trial_ended")


def vendors(world: World) -> list[Vendor]:
    """Return the vendors; those that are new, or not done with it, set up their accounts first."""
    return [_vendor(world, name) for name in VENDORS]


def _vendor(world: World, name: str) -> Vendor:
    accounts = world.tables["accounts"]
    with world.engines["portal"].begin() as connection:
        account = connection.scalar(select(accounts.c.id).where(accounts.c.name == name))
        if account is None:
            account = connection.scalar(insert(accounts).returning(accounts.c.id), {"name": name})
    brand = name.split()[0]
    domain = f"{brand.lower()}.example"
    if not _staff(world, account):
        with acting(world, SIGN_UP, **request(world)) as connection:
            may = {"is_admin": True, "permissions": {}}
            _join(world, connection, account, _colleague(world, domain), may)
    admin, *others = _staff(world, account)
    if not others:
        _invite(world, account, admin, domain)
    known = {product.name for product in _products(world, account)}
    for product in VENDORS[name]:
        if f"{brand} {product}" not in known:
            _add_product(world, account, admin, f"{brand} {product}", product.upper())
    return Vendor(account, name, domain, _staff(world, account), _products(world, account))


def _invite(world: World, account: int, admin: Participant, domain: str) -> None:
    """Let the first person add the others, and make what the vendor starts with."""
    for name in _TEMPLATES[:2]:
        _add_template(world, account, admin, name)
    for event in _EVENTS[:2]:
        _add_policy(world, account, admin, event)
    with acting(world, admin, **request(world)) as connection:
        may = {"is_admin": False, "permissions": {"licenses": "manage", "customers": "manage"}}
        for columns in (_colleague(world, domain), _colleague(world, domain), _CONSULTANT):
            _join(world, connection, account, columns, may)


def _staff(world: World, account: int) -> list[Participant]:
    person, membership = world.tables["platform_users"], world.tables["memberships"]
    query = (
        select(person.c.id, person.c.email)
        .join_from(membership, person, membership.c.platform_user_id == person.c.id)
        .where(membership.c.account_id == account)
        .order_by(membership.c.is_admin.desc(), person.c.id)
    )
    with world.engines["portal"].connect() as connection:
        rows = connection.execute(query).all()
    return [Participant("platform_user", str(row.id), row.email, "portal") for row in rows]


def _products(world: World, account: int) -> list[Product]:
    product = world.tables["products"]
    feature, custom = world.tables["product_features"], world.tables["product_custom_fields"]
    query = select(product.c.id, product.c.name).where(
        product.c.account_id == account, product.c.archived_at.is_(None)
    )
    found = []
    with world.engines["portal"].connect() as connection:
        for row in connection.execute(query.order_by(product.c.id)).all():
            features = select(feature.c.code, feature.c.id).where(feature.c.product_id == row.id)
            fields = select(custom.c.name, custom.c.id).where(custom.c.product_id == row.id)
            parts = [_numbers(connection, query) for query in (features, fields)]
            found.append(Product(row.id, row.name, *parts))
    return found


def _numbers(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def _colleague(world: World, domain: str) -> dict[str, Any]:
    somebody = people.person(world.random)
    return {
        "email": f"{somebody.local_part}@{domain}",
        "first_name": somebody.first_name,
        "last_name": somebody.last_name,
        "phone": people.phone(world.random),
        "password_hash": _password_hash(world),
    }


def _password_hash(world: World) -> str:
    return f"scrypt:{people.hexadecimal(world.random, 64)}"


def _join(
    world: World, connection: Connection, account: int, columns: dict[str, Any], may: dict[str, Any]
) -> Participant:
    """Add a person, who may have been with the platform before, to an account."""
    person, membership = world.tables["platform_users"], world.tables["memberships"]
    known = postgresql.insert(person).values(columns)
    upsert = known.on_conflict_do_update(
        index_elements=["email"], set_={"first_name": known.excluded.first_name}
    )
    number = connection.scalar(upsert.returning(person.c.id))
    connection.execute(
        insert(membership), {"account_id": account, "platform_user_id": number, **may}
    )
    return Participant("platform_user", str(number), columns["email"], "portal")


def colleagues(world: World, vendor: Vendor) -> Iterator[None]:
    """Somebody joins for a while; the consultant, who works for several vendors, moves."""
    person, membership = world.tables["platform_users"], world.tables["memberships"]
    columns = _colleague(world, vendor.domain)
    while columns["email"] in [actor.label for actor in vendor.staff]:
        columns = _colleague(world, vendor.domain)
    admin = vendor.staff[0]
    may = {"is_admin": False, "permissions": {"licenses": "read"}}
    with acting(world, admin, **request(world)) as connection:
        trainee = _join(world, connection, vendor.account, columns, may)
    yield
    hers = (membership.c.account_id == vendor.account) & (
        membership.c.platform_user_id == int(trainee.id)
    )
    with acting(world, trainee, **request(world)) as connection:
        changed = {"password_hash": _password_hash(world), "last_login_at": now()}
        connection.execute(update(person).where(person.c.id == int(trainee.id)).values(changed))
    yield
    with acting(world, admin, **request(world)) as connection:
        permissions = {"licenses": "manage", "devices": "read"}
        connection.execute(update(membership).where(hers).values(permissions=permissions))
    yield
    consultant = next(actor for actor in vendor.staff if actor.label == _CONSULTANT["email"])
    with acting(world, consultant, **request(world)) as connection:
        phone = {"phone": people.phone(world.random)}
        connection.execute(update(person).where(person.c.id == int(consultant.id)).values(phone))
    yield
    with acting(world, admin, reason="internship ended", **request(world)) as connection:
        connection.execute(delete(membership).where(hers))
    yield


def _add_template(world: World, account: int, admin: Participant, name: str) -> int:
    template = world.tables["user_permission_templates"]
    permission = world.tables["user_permission_template_permissions"]
    with acting(world, admin, **request(world)) as connection:
        columns = {"account_id": account, "name": name}
        number = connection.scalars(insert(template).returning(template.c.id), columns).one()
        resources = world.random.sample(_RESOURCES, 3)
        connection.execute(
            insert(permission).values(
                [{"template_id": number, "resource": r, "level": "read"} for r in resources]
            )
        )
    return int(number)


def templates(world: World, vendor: Vendor) -> Iterator[None]:
    """A template of permissions comes, is filled in and changed, and the oldest one goes."""
    template = world.tables["user_permission_templates"]
    permission = world.tables["user_permission_template_permissions"]
    admin = vendor.staff[0]
    number = _add_template(world, vendor.account, admin, world.random.choice(_TEMPLATES))
    with acting(world, admin, **request(world)) as connection:
        described = {"description": "What a newcomer may do in the first month"}
        connection.execute(update(template).where(template.c.id == number).values(described))
        rows = [
            {"template_id": number, "resource": resource, "level": level}
            for resource, level in (("licenses", "manage"), ("reports", "read"))
        ]
        saved = postgresql.insert(permission).values(rows)
        connection.execute(
            saved.on_conflict_do_update(
                constraint="user_permission_template_permissions_pkey",
                set_={"level": saved.excluded.level},
            )
        )
    yield
    with acting(world, admin, **request(world)) as connection:
        mine = select(template.c.id).where(template.c.account_id == vendor.account)
        oldest = ids(connection, mine)[0]
        connection.execute(delete(template).where(template.c.id == oldest))
    yield


def _add_policy(world: World, account: int, admin: Participant, event: str) -> int:
    policy = world.tables["notification_policies"]
    with acting(world, admin, **request(world)) as connection:
        columns = {
            "account_id": account,
            "event_type": event,
            "recipients": [admin.label],
            "lead_time": timedelta(days=14),
            "subject": f"Notice: {event.replace('_', ' ')}",
        }
        number = connection.scalars(insert(policy).returning(policy.c.id), columns).one()
    return int(number)


def notifications(world: World, vendor: Vendor) -> Iterator[None]:
    """A notification policy comes, is changed and switched off, and the oldest one goes."""
    policy = world.tables["notification_policies"]
    admin = vendor.staff[0]
    number = _add_policy(world, vendor.account, admin, world.random.choice(_EVENTS))
    for changed in (
        {"lead_time": timedelta(days=30), "recipients": [actor.label for actor in vendor.staff]},
        {"is_enabled": False},
    ):
        with acting(world, vendor.staff[1], **request(world)) as connection:
            connection.execute(update(policy).where(policy.c.id == number).values(changed))
        yield
    with acting(world, admin, **request(world)) as connection:
        mine = select(policy.c.id).where(policy.c.account_id == vendor.account)
        connection.execute(delete(policy).where(policy.c.id == ids(connection, mine)[0]))
    yield


def _add_product(world: World, account: int, actor: Participant, name: str, code: str) -> int:
    product = world.tables["products"]
    with acting(world, actor, **request(world)) as connection:
        columns = {"account_id": account, "name": name, "code": code, "trial_days": 14}
        number = connection.scalars(insert(product).returning(product.c.id), columns).one()
        features = [{"max_consumption": None, **f, "product_id": number} for f in _FEATURES]
        connection.execute(insert(world.tables["product_features"]).values(features))
        fields = [{**f, "product_id": number} for f in _FIELDS]
        connection.execute(insert(world.tables["product_custom_fields"]).values(fields))
    return int(number)


def products(world: World, vendor: Vendor) -> Iterator[None]:
    """A product on sale is changed; a beta version comes, is withdrawn and goes."""
    product, feature = world.tables["products"], world.tables["product_features"]
    sold, manager = world.random.choice(vendor.products), vendor.staff[1]
    with acting(world, manager, **request(world)) as connection:
        changed = {
            "trial_days": world.random.choice((7, 14, 21, 30)),
            "allows_vm": world.random.random() < 0.5,
        }
        connection.execute(update(product).where(product.c.id == sold.id).values(changed))
        limit = {"max_consumption": world.random.randrange(200, 1000, 100)}
        cloud = feature.c.id == sold.features["CLOUD"]
        connection.execute(update(feature).where(cloud).values(limit))
    yield
    name = f"{sold.name} Beta {people.hexadecimal(world.random, 3)}"
    code = name.upper().replace(" ", "-")
    beta = _add_product(world, vendor.account, manager, name, code)
    steps: tuple[tuple[Participant, dict[str, Any]], ...] = (
        (manager, {"is_active": False}),
        (vendor.staff[0], {"is_active": True, "metadata": {"channel": "beta"}}),
        (manager, {"archived_at": now()}),
        (vendor.staff[0], {"archived_at": None}),
    )
    for actor, changed in steps:
        with acting(world, actor, **request(world)) as connection:
            connection.execute(update(product).where(product.c.id == beta).values(changed))
        yield
    with acting(world, manager, reason="beta ended", **request(world)) as connection:
        connection.execute(delete(product).where(product.c.id == beta))
    yield
