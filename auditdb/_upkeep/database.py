"""Which database, and a connection to it: one reading of URLs for every command."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from auditdb._connection.own import OwnConnection, open_connection
from auditdb._upkeep import revisions
from auditdb.errors import DatabaseUnreachable, InvalidUrl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

CONNECT_TIMEOUT = 10
"""Seconds to wait for a server, unless the URL or PGCONNECT_TIMEOUT says otherwise."""

_SCHEME = re.compile(r"postgres(ql)?(\+[a-z0-9]+)?://", re.IGNORECASE)
_PORTS = re.compile(r"\d*(,\d*)*")
_WHERE_FROM = ("PGDATABASE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGUSER")
_ENCODE = "In a user name or password, write the characters @ : / ? % as %40 %3A %2F %3F %25."


def resolve(url: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the database: `url`, else AUDITDB_URL, else '' where PG* variables say it.

    Raises InvalidUrl where nothing names a database, or where what names it is no URL.
    """
    found = url or environ.get("AUDITDB_URL") or ""
    if not found and not any(environ.get(name) for name in _WHERE_FROM):
        raise InvalidUrl(
            "No database is given.",
            hint="Pass --url postgresql://user@host/name, or set AUDITDB_URL, "
            "or the variables PGHOST, PGUSER, PGDATABASE.",
        )
    parameters(found)
    return found


def parameters(url: str) -> dict[str, Any]:
    """Return the connection parameters in `url`, as libpq reads it; '' leaves all to PG* variables.

    The schemes postgresql://, postgres:// and SQLAlchemy's postgresql+psycopg:// mean the same.
    Raises InvalidUrl, which never quotes the URL: it may hold a password in the wrong place.
    """
    if not url:
        return {}
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise InvalidUrl(
            hint="It must begin with postgresql://, postgres:// or postgresql+psycopg://."
        )
    try:
        found = conninfo_to_dict(f"postgresql://{url[scheme.end() :]}")
    except psycopg.ProgrammingError:
        raise InvalidUrl(hint=_ENCODE) from None
    misread = "@" in f"{found.get('host', '')}{found.get('dbname', '')}"
    if misread or not _PORTS.fullmatch(str(found.get("port", ""))):
        raise InvalidUrl(hint=_ENCODE)
    return found


def describe(url: str) -> str:
    """Return the database behind `url` in words, without secrets: database "x" on host:port."""
    given = parameters(url)
    name = given.get("dbname") or os.environ.get("PGDATABASE")
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST")
    port = given.get("port") or os.environ.get("PGPORT")
    what = f'database "{name}"' if name else "the default database"
    where = f"{host}:{port}" if host and port else host or "the default server"
    return f"{what} on {where}"


def redact(url: str) -> str:
    """Return `url` with every password in it replaced by ***; raises InvalidUrl as parameters()."""
    parameters(url)
    bare = re.sub(r"(://[^:/?#@]*):[^@]*@", r"\1:***@", url)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", bare, flags=re.IGNORECASE)


def _arguments(url: str) -> dict[str, Any]:
    ours: dict[str, Any] = {"fallback_application_name": "auditdb", "client_encoding": "utf8"}
    if "PGCONNECT_TIMEOUT" not in os.environ:
        ours["connect_timeout"] = CONNECT_TIMEOUT
    return ours | parameters(url)


def connect(url: str, *, accept: revisions.Accepted = "newer") -> OwnConnection:
    """Open a connection in autocommit mode to the database at `url`, as given by resolve().

    Each of its transactions has a search_path of its own, each statement is in a transaction.

    Its log is of a revision to `accept`: any, the same as of this package, or a newer one too. A
    database without a log is accepted as well.

    Raises DatabaseUnreachable, naming the server and its answer but no password; SchemaBehind and
    SchemaAhead for other revisions.
    """
    try:
        connection = open_connection(autocommit=True, **_arguments(url))
    except psycopg.OperationalError as error:
        raise unreachable(url, error) from error
    try:
        revisions.require(connection, accept)
    except BaseException:
        connection.close()
        raise
    return connection


def engine(url: str) -> Engine:
    """Return a SQLAlchemy engine, without a pool, for the database at `url` (from resolve())."""
    # Here, for only migrations work through SQLAlchemy.
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: open_connection(autocommit=False, **_arguments(url)),
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
        use_native_hstore=False,
    )


def unreachable(url: str, error: psycopg.Error) -> DatabaseUnreachable:
    """Return the error to raise where the server at `url` did not let us in, with its answer."""
    answer = " ".join(str(error).split())
    secret = parameters(url).get("password")
    if secret and len(secret) > 1:
        answer = answer.replace(secret, "***")
    return DatabaseUnreachable(
        f"Cannot connect to {describe(url)}: {answer}",
        hint="Is the server running there, and are role and password right?",
    )
