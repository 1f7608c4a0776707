"""What the simulated platform is made of: its applications, tables and actors."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import MetaData, Select, create_engine, func, select

from auditdb._demo.people import hexadecimal, ip_address
from auditdb._upkeep import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Engine, Table

APPLICATIONS = ("portal", "public-api", "license-server", "crm-sync", "nightly-job")
"""The programs of the platform that write through SQLAlchemy, by their application_name."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Who does something, and in which application of the platform."""

    type: str
    id: str
    label: str
    application: str


@dataclass(frozen=True, slots=True)
class Product:
    """A product on sale: its id, and the ids of what is licensed in it."""

    id: int
    name: str
    features: Mapping[str, int]
    fields: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor that works with the platform: one account of it."""

    account: int
    name: str
    domain: str
    staff: Sequence[Participant]
    """The people of the vendor, the administrator first."""
    products: Sequence[Product]


@dataclass(frozen=True, slots=True)
class World:
    """The platform: one engine for each application, the tables, and the dice."""

    url: str = field(repr=False)
    engines: Mapping[str, Engine]
    tables: Mapping[str, Table]
    random: Random
    tally: Counter[str] = field(default_factory=Counter)
    """How many transactions there were, and heartbeats."""


@contextmanager
def opened(url: str) -> Iterator[World]:
    """Open the platform on the migrated database at `url`.

    The dice fall alike for databases with equally many customers.
    """
    engines = {name: _engine(url, name) for name in APPLICATIONS}
    try:
        metadata = MetaData(schema="licensing")
        with engines["portal"].connect() as connection:
            metadata.reflect(connection)
            tables = {table.name: table for table in metadata.tables.values()}
            count = connection.scalar(select(func.count()).select_from(tables["customers"]))
        # Not a secret is drawn from these dice but those of a platform that does not exist.
        yield World(url, engines, tables, Random(f"platform of {count}"))  # noqa: S311
    finally:
        for engine in engines.values():
            engine.dispose()


def _engine(url: str, application: str) -> Engine:
    arguments = database.parameters(url) | {"application_name": application}
    return create_engine("postgresql+psycopg://", connect_args=arguments, pool_size=1)


@contextmanager
def acting(world: World, actor: Participant, **context: Any) -> Iterator[Connection]:
    """Begin a transaction of `actor`: the first statement names it, and the commit forgets it."""
    with world.engines[actor.application].begin() as connection:
        connection.execute(
            select(func.audit.set_actor(actor.type, actor.id, actor.label, Jsonb(context)))
        )
        yield connection
    world.tally["transactions"] += 1


@contextmanager
def loading(world: World, actor: Participant, **context: Any) -> Iterator[psycopg.Cursor]:
    """Begin a transaction of `actor` on psycopg itself, for COPY."""
    with by_hand(world, actor.application) as cursor:
        cursor.execute(
            "select audit.set_actor(%s, %s, %s, %s)",
            (actor.type, actor.id, actor.label, Jsonb(context)),
        )
        yield cursor


@contextmanager
def by_hand(world: World, application: str) -> Iterator[psycopg.Cursor]:
    """Begin a transaction in which nobody says who is acting."""
    arguments = database.parameters(world.url) | {"application_name": application}
    with psycopg.connect("", **arguments) as connection, connection.cursor() as cursor:
        yield cursor
    world.tally["transactions"] += 1


def now() -> datetime:
    """Return the time to the second, as an application may keep it."""
    return datetime.now(UTC).replace(microsecond=0)


def request(world: World) -> dict[str, str]:
    """Return the context of a request to one of the applications."""
    return {"request_id": hexadecimal(world.random, 12), "ip": ip_address(world.random)}


def ids(connection: Connection, query: Select[Any]) -> list[int]:
    """Return the ids that `query` finds, at most 500, in the order of the ids."""
    return list(connection.scalars(query.order_by(*query.selected_columns).limit(500)))


def one(world: World, connection: Connection, query: Select[Any]) -> int:
    """Return one of the ids that `query` finds."""
    return world.random.choice(ids(connection, query))
