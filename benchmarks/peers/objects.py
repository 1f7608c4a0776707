"""Writes objects through a session of SQLAlchemy, with one of the systems that listen there.

Started by benchmarks.orm with a URL and the name of a system: sets the system up, answers `ready`,
then answers each line `case first count` on its input with a line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from benchmarks.cases import DELETE, HEARTBEAT, INSERT, UPDATE
from benchmarks.systems import UNRECORDED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class Base(DeclarativeBase):
    """The models of this process."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that uses the ORM."""

    engine: sa.Engine
    model: Any
    sessions: sessionmaker[Session]
    acting: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    """Returns what names the actor for the length of a with block."""


def reflect(engine: sa.Engine, **columns: Any) -> sa.Table:
    """Return the table as it is in the database; `columns` overrides some of its columns."""
    named = [sa.Column(name, kind, **options) for name, (kind, options) in columns.items()]
    with engine.connect() as connection:
        return sa.Table(
            "licenses",
            Base.metadata,
            *named,
            schema="licensing",
            autoload_with=connection,
        )


def plain(engine: sa.Engine) -> Program:
    """Return a program without any listener."""
    model = type("License", (Base,), {"__table__": reflect(engine)})
    return Program(engine, model, sessionmaker(engine))


def with_auditdb(engine: sa.Engine) -> Program:
    """Return a program whose engine puts the actor into each transaction."""
    import auditdb

    program = plain(auditdb.instrument(engine))
    return Program(
        engine,
        program.model,
        program.sessions,
        lambda: auditdb.actor("platform_user", 42, label="ana@example.com"),
    )


def continuum(engine: sa.Engine, *, native: bool) -> Program:
    """Return a program versioned by SQLAlchemy-Continuum, in Python or by its own triggers."""
    from sqlalchemy_continuum import make_versioned, version_class
    from sqlalchemy_continuum.dialects.postgresql import CreateTriggerFunctionSQL, CreateTriggerSQL

    make_versioned(user_cls=None, options={"native_versioning": native})
    attributes = {"__versioned__": {"exclude": list(UNRECORDED)}, "__table__": reflect(engine)}
    model = type("License", (Base,), attributes)
    sa.orm.configure_mappers()
    version = version_class(model).__table__
    with engine.begin() as connection:
        if native:
            connection.execute(sa.text("create extension if not exists hstore with schema public"))
        Base.metadata.create_all(connection, tables=[Base.metadata.tables["transaction"], version])
        if native:
            manager: Any = model.__versioning_manager__  # type: ignore[attr-defined]
            for made in (CreateTriggerFunctionSQL, CreateTriggerSQL):
                connection.exec_driver_sql(str(made.for_manager(manager, model)))
    return Program(engine, model, sessionmaker(engine))


def audit_trail(engine: sa.Engine) -> Program:
    """Return a program audited by sqlalchemy-audit-trail."""
    from audit_trail import Audited, AuditTrail
    from audit_trail.migrations import create_audit_tables

    trail = AuditTrail(engine, events=[])
    sessions = sessionmaker(engine)
    trail.install(sessions)
    table = reflect(engine)
    for name in UNRECORDED:
        table.c[name].info["audit"] = "redact" if name == "license_key" else "exclude"
    model = type("License", (Base, Audited), {"__table__": table})
    with engine.begin() as connection:
        create_audit_tables(connection, trail.tables, trail.severities)
    trail.maintenance.ensure_partitions()
    return Program(
        engine,
        model,
        sessions,
        lambda: trail.context(actor_type="user", actor_id="42", actor_label="ana@example.com"),
    )


PROGRAMS: dict[str, Callable[[sa.Engine], Program]] = {
    "unaudited": plain,
    "floor": plain,
    "auditdb": with_auditdb,
    "sqlalchemy-continuum": lambda engine: continuum(engine, native=False),
    "sqlalchemy-continuum, native": lambda engine: continuum(engine, native=True),
    "sqlalchemy-audit-trail": audit_trail,
}


def write(program: Program, case: str, number: int) -> None:
    """Do one thing to one object, in a session and a transaction of its own."""
    with program.acting(), program.sessions() as session:
        if case == INSERT.title:
            columns = ("id", "order_id", "customer_id", "license_key", "note")
            given = dict(zip(columns, INSERT.parameters(number), strict=True))
            session.add(program.model(account_id=1, product_id=1, **given))
        else:
            sought = {UPDATE.title: UPDATE, HEARTBEAT.title: HEARTBEAT, DELETE.title: DELETE}[case]
            found = session.get(program.model, sought.parameters(number)[-1])
            if found is None:
                raise LookupError(f"{case} {number}: there is no such license")
            if case == DELETE.title:
                session.delete(found)
            elif case == UPDATE.title:
                found.note = f"changed {number}"
            else:
                found.times_activated = number % 1_000_000
                found.last_checked_at = sa.func.now()
        session.commit()


def main(url: str, system: str) -> None:
    """Set a program up, and write what the lines of the input ask for."""
    # One connection: its backend is watched.
    engine = sa.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:", 1), pool_size=1, max_overflow=0
    )
    program = PROGRAMS[system](engine)
    sent = 0

    def count(*_: object) -> None:
        nonlocal sent
        sent += 1

    with engine.connect() as connection:
        pid = connection.scalar(sa.text("select pg_backend_pid()"))
    sa.event.listen(engine, "before_cursor_execute", count)
    schedstat = Path(f"/proc/{pid}/schedstat")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        case, first, many = line.rstrip("\n").split("\t")
        sent, client, backend = 0, time.process_time_ns(), int(schedstat.read_text().split()[0])
        for number in range(int(first), int(first) + int(many)):
            write(program, case, number)
        client = time.process_time_ns() - client
        answer = {
            "backend": (int(schedstat.read_text().split()[0]) - backend) / 1000,
            "client": client / 1000,
            "statements": sent,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
