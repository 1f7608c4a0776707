"""What becomes of a license: its parts, its users and devices, support, and the nightly job."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql

from auditdb._demo import people
from auditdb._demo.world import Participant, acting, ids, now, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditdb._demo.sales import Sale
    from auditdb._demo.world import Vendor, World

NIGHTLY = Participant("system", "nightly-job", "Nightly job", "nightly-job")
HEARTBEATS = 20
"""How often the devices of a license report in a shift."""

_SYSTEMS = ("Windows 11", "macOS 15", "Ubuntu 24.04")


def features(world: World, vendor: Vendor, sale: Sale) -> Iterator[None]:
    """Somebody of the vendor saves the form of a license's features, and saves it again."""
    feature, of = world.tables["license_features"], sale.product.features
    with acting(world, vendor.staff[1], **request(world)) as connection:
        saved = postgresql.insert(feature).values(
            [
                {"license_id": sale.license, "product_feature_id": of[code], "max_consumption": n}
                for code, n in (("CLOUD", world.random.randrange(200, 900, 100)), ("API", None))
            ]
        )
        limit = {"max_consumption": saved.excluded.max_consumption}
        connection.execute(
            saved.on_conflict_do_update(constraint="license_features_pkey", set_=limit)
        )
    yield
    with acting(world, vendor.staff[1], **request(world)) as connection:
        export = feature.c.product_feature_id == of["EXPORT"]
        connection.execute(delete(feature).where(feature.c.license_id == sale.license, export))
    yield


def custom_fields(world: World, vendor: Vendor, sale: Sale) -> Iterator[None]:
    """Somebody of the vendor fills in, corrects and empties a license's custom fields."""
    custom, of = world.tables["license_custom_fields"], sale.product.fields
    clerk = vendor.staff[2]
    with acting(world, clerk, **request(world)) as connection:
        values = (("department", "Tooling"), ("seats", "3"))
        connection.execute(
            insert(custom).values(
                [
                    {"license_id": sale.license, "product_custom_field_id": of[name], "value": v}
                    for name, v in values
                ]
            )
        )
    yield
    mine = custom.c.license_id == sale.license
    with acting(world, clerk, **request(world)) as connection:
        department = mine & (custom.c.product_custom_field_id == of["department"])
        connection.execute(update(custom).where(department).values(value="Research"))
    yield
    with acting(world, clerk, **request(world)) as connection:
        seats = mine & (custom.c.product_custom_field_id == of["seats"])
        connection.execute(delete(custom).where(seats))
    yield


def assignments(world: World, sale: Sale) -> Iterator[None]:
    """The customer's license manager lets a colleague use the license, and gives up a place."""
    assignment = world.tables["license_user_assignments"]
    manager, user = int(sale.manager.id), int(sale.user.id)
    with acting(world, sale.manager, **request(world)) as connection:
        both = [{"license_id": sale.license, "license_user_id": n} for n in (manager, user)]
        connection.execute(insert(assignment).values(both))
    yield
    mine = assignment.c.license_id == sale.license
    with acting(world, sale.manager, **request(world)) as connection:
        more = update(assignment).where(mine, assignment.c.license_user_id == user)
        connection.execute(more.values(max_activations=3))
        less = delete(assignment).where(mine, assignment.c.license_user_id == manager)
        connection.execute(less)
    yield


def support(world: World, vendor: Vendor, sale: Sale) -> Iterator[None]:
    """A key leaked: the license is disabled, given a new key and limits, reset and enabled."""
    licenses, devices = world.tables["licenses"], world.tables["devices"]
    first, second = vendor.staff[1], vendor.staff[2]
    ticket = f"T-{world.random.randint(1000, 9999)}"
    until = now().replace(hour=0, minute=0, second=0)
    steps: tuple[tuple[Participant, dict[str, Any]], ...] = (
        (first, {"is_enabled": False, "note": f"Key seen in public, see {ticket}"}),
        (
            second,
            {
                "license_key": people.license_key(world.random),
                "max_activations": world.random.choice((3, 4, 6, 12)),
                "valid_until": until + timedelta(days=400),
                "allows_vm": False,
                "note": f"New key sent, see {ticket}",
                "metadata": {"ticket": ticket},
            },
        ),
        (second, {"reset_at": now(), "times_activated": 0, "transfer_count": 0}),
        (first, {"is_enabled": True}),
        (second, {"consumption_reset_at": now(), "total_consumption": 0}),
    )
    for actor, changed in steps:
        with acting(world, actor, ticket=ticket, **request(world)) as connection:
            mine = licenses.c.id == sale.license
            connection.execute(update(licenses).where(mine).values(changed))
            if "reset_at" in changed:
                inactive = update(devices).where(devices.c.license_id == sale.license)
                connection.execute(inactive.values(is_active=False))
        yield


def usage(world: World, vendor: Vendor, sale: Sale) -> Iterator[None]:
    """A user activates two devices, which then report; one is borrowed, reset, and shut out."""
    licenses, devices = world.tables["licenses"], world.tables["devices"]
    with acting(world, sale.user, **request(world)) as connection:
        rows = [_device(world, sale) for _ in range(2)]
        numbers = list(connection.scalars(insert(devices).returning(devices.c.id), rows))
        activated = {"times_activated": licenses.c.times_activated + 2}
        connection.execute(update(licenses).where(licenses.c.id == sale.license).values(activated))
    yield
    _report(world, sale, numbers)
    yield
    due = now() + timedelta(days=14)
    steps: tuple[tuple[Participant, dict[str, Any]], ...] = (
        (sale.user, {"borrowed_until": due}),
        (sale.user, {"borrowed_until": None}),
        (sale.manager, {"reset_at": now(), "is_active": False}),
        (vendor.staff[1], {"is_blacklisted": True}),
        (vendor.staff[2], {"is_blacklisted": False}),
    )
    for actor, changed in steps:
        with acting(world, actor, **request(world)) as connection:
            mine = devices.c.id == numbers[0]
            connection.execute(update(devices).where(mine).values(changed))
        yield


def _device(world: World, sale: Sale) -> dict[str, Any]:
    random = world.random
    octets = people.hexadecimal(random, 10)
    return {
        "license_id": sale.license,
        "license_user_id": int(sale.user.id),
        "hardware_id": people.hexadecimal(random, 32),
        "hostname": f"{sale.user.label.partition('@')[0]}-ws-{random.randint(10, 99)}",
        "os": random.choice(_SYSTEMS),
        "mac": ":".join(["02", *(octets[i : i + 2] for i in range(0, 10, 2))]),
        "ip": people.ip_address(random),
        "app_version": "4.1.0",
    }


def _report(world: World, sale: Sale, devices: list[int]) -> None:
    """Let devices say that they are there, and what they have consumed: none of it an action."""
    device, license_ = world.tables["devices"], world.tables["licenses"]
    beats = [
        {"number": number, "address": people.ip_address(world.random), "release": f"4.1.{beat}"}
        for beat in range(HEARTBEATS // len(devices))
        for number in devices
    ]
    with world.engines["license-server"].begin() as connection:
        connection.execute(
            update(device)
            .where(device.c.id == bindparam("number"))
            .values(
                last_seen_at=func.now(), ip=bindparam("address"), app_version=bindparam("release")
            ),
            beats,
        )
        consumed = license_.c.total_consumption + len(beats)
        connection.execute(
            update(license_)
            .where(license_.c.id == sale.license)
            .values(last_checked_at=func.now(), total_consumption=consumed)
        )
    world.tally["transactions"] += 1
    world.tally["heartbeats"] += len(beats)


def night(world: World, vendor: Vendor) -> Iterator[None]:
    """Renew subscriptions, begin a new month of consumption, and send notifications."""
    licenses, policies = world.tables["licenses"], world.tables["notification_policies"]
    mine = licenses.c.account_id == vendor.account
    with acting(world, NIGHTLY, job="renewals") as connection:
        due = ids(
            connection, select(licenses.c.id).where(mine, licenses.c.license_type == "subscription")
        )
        some = sorted(world.random.sample(due, min(3, len(due))))
        longer = {"valid_until": licenses.c.valid_until + timedelta(days=365)}
        connection.execute(update(licenses).where(licenses.c.id.in_(some)).values(longer))
    yield
    with acting(world, NIGHTLY, job="consumption") as connection:
        used = licenses.c.consumption_period.is_not(None) & (licenses.c.total_consumption > 0)
        anew = {"consumption_reset_at": now(), "total_consumption": 0}
        connection.execute(update(licenses).where(mine, used).values(anew))
    yield
    with acting(world, NIGHTLY, job="notifications") as connection:
        theirs = policies.c.account_id == vendor.account
        connection.execute(update(policies).where(theirs).values(last_sent_at=func.now()))
    yield
