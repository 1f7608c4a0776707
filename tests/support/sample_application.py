"""An application that uses the package as one does, for mypy alone: it is never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import psycopg
from fastapi import FastAPI
from flask import Flask
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

import auditdb
from auditdb import asgi, wsgi
from auditdb.alembic import TrackTableOp, UntrackTableOp

if TYPE_CHECKING:
    from alembic.operations import Operations

URL = "postgresql+psycopg:///billing"


class Base(DeclarativeBase):
    """The application's models."""


class Invoice(Base):
    """A table whose class says how it is tracked."""

    __tablename__ = "invoice"
    __table_args__ = {  # noqa: RUF012 (as SQLAlchemy has it)
        "info": {
            "audit": auditdb.Tracked(
                item_label="number",
                secret=["token"],
                actions=[
                    auditdb.Action("invoice_created", on="insert"),
                    auditdb.Action("invoice_changed", on=["update", "delete"]),
                ],
                require_actor=True,
            )
        }
    }

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    token: Mapped[str]


class Payment(Base):
    """A table that is tracked from outside of its class."""

    __tablename__ = "payment"

    id: Mapped[int] = mapped_column(primary_key=True)
    attempts: Mapped[int]


auditdb.declare(Payment, item_type="payment", operational=[Payment.attempts])


def upgrade(op: Operations) -> None:
    """Track and stop tracking in a migration."""
    op.invoke(TrackTableOp("payment", auditdb.Tracked(item_label="id")))
    op.invoke(UntrackTableOp("invoice"))


def start() -> None:
    """Teach everything that begins transactions: it is given back as what it is."""
    engine = auditdb.instrument(create_engine(URL))
    assert_type(engine, Engine)
    sessions = auditdb.instrument(sessionmaker(engine))
    assert_type(sessions, sessionmaker[Session])
    async_engine = auditdb.instrument(create_async_engine(URL))
    assert_type(async_engine, AsyncEngine)
    async_sessions = auditdb.instrument(async_sessionmaker(async_engine))
    assert_type(async_sessions, async_sessionmaker[AsyncSession])
    pool = auditdb.instrument(ConnectionPool(URL))
    assert_type(pool, ConnectionPool[psycopg.Connection[tuple[Any, ...]]])
    async_pool = auditdb.instrument(AsyncConnectionPool(URL))
    assert_type(async_pool, AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]])
    connection = auditdb.instrument(psycopg.connect(URL))
    assert_type(connection, psycopg.Connection[tuple[Any, ...]])


@auditdb.actor("system", "nightly-job", reason="expiry")
def expire(days: int) -> str:
    """Run as a job, whose signature stays."""
    who = auditdb.current_actor()
    return f"{who.label} {days}" if who else ""


@auditdb.actor("system", "sync")
async def synchronise(account: str) -> int:
    """Run as an asynchronous job."""
    return len(account)


async def run_jobs(connection: psycopg.Connection[Any], session: AsyncSession) -> None:
    """Call the jobs, and name actors in every way."""
    assert_type(expire(30), str)
    assert_type(await synchronise("1"), int)
    with auditdb.actor(
        "platform_user", 42, label="ana@example.com", connection=connection
    ) as scope:
        assert_type(scope, auditdb.ActorScope)
    async with auditdb.actor("api_key", "k1", connection=session):
        await session.commit()


async def who(scope: asgi.Scope) -> auditdb.Actor | None:
    """Find the actor of a request."""
    return auditdb.Actor("platform_user", 42, context={"path": scope["path"]})


def who_by_wsgi(environ: dict[str, Any]) -> auditdb.Actor | None:
    """Find the actor of a request to a WSGI application."""
    return auditdb.Actor("platform_user", environ["REMOTE_USER"])


fast = FastAPI()
fast.add_middleware(asgi.ActorMiddleware, actor=who, trusted_proxies=["10.0.0.0/8"])
flask = Flask(__name__)
flask.wsgi_app = wsgi.ActorMiddleware(flask.wsgi_app, who_by_wsgi)  # type: ignore[method-assign]


def deploy() -> str:
    """Bring the log up to date before the application starts."""
    try:
        assert_type(auditdb.upgrade(URL), tuple[str, ...])
        auditdb.upgrade(URL, "heads", partition_interval="quarter")
    except (auditdb.InvalidUrl, auditdb.MigrationFailed, auditdb.LogBusy) as error:
        return error.message
    assert_type(auditdb.__version__, str)
    return auditdb.__version__


def watch(connection: psycopg.Connection[Any]) -> str | None:
    """Say what mends the first thing that is wrong with the log."""
    found = auditdb.check(connection)
    assert_type(found, tuple[auditdb.Finding, ...])
    return found[0].mend if found else None


def explain(connection: psycopg.Connection[Any]) -> str:
    """Tell every error of the package from the others."""
    try:
        with auditdb.translated():
            connection.execute("update invoice set number = 'R-18'")
    except (auditdb.ActorRequired, auditdb.TriggersOutOfDate, auditdb.AppendOnly) as error:
        return f"{error.sqlstate} {error.hint}"
    except (
        auditdb.CannotTrack,
        auditdb.InvalidDeclaration,
        auditdb.NoTransaction,
        auditdb.NotTracked,
        auditdb.TruncateRefused,
        auditdb.DowngradeRefused,
        auditdb.SchemaForeign,
    ) as error:
        return error.message
    except (auditdb.DatabaseFailed, auditdb.DatabaseUnreachable, auditdb.PermissionDenied):
        return "the database"
    except (auditdb.SchemaBehind, auditdb.SchemaMissing):
        return "auditdb upgrade"
    except auditdb.SchemaAhead:
        return "pip install --upgrade auditdb"
    except (auditdb.InvalidActor, auditdb.InvalidCursor, auditdb.InvalidQuestion) as error:
        return error.message
    except (auditdb.ExportFailed, auditdb.InvalidExport, auditdb.ImportFailed) as error:
        return error.message
    except (auditdb.WatermarkRefused, auditdb.EmbeddedMissing) as error:
        return error.message
    except auditdb.AuditError as error:
        return error.message
    except psycopg.Error as error:
        return auditdb.translate(error).message
    return ""
