"""Writes what the catalogue says after the newest migration: what a check compares with."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from auditdb._connection.runner import helper  # noqa: E402 (found once the path is set)
from auditdb._upkeep import facts, migrate, revisions  # noqa: E402
from tests.support.servers import installed  # noqa: E402

if TYPE_CHECKING:
    from auditdb._connection.runner import Reading


@helper
def found() -> Reading[facts.Facts]:
    """Return what the catalogue says."""
    return (yield from facts.pinned(facts.found()))


def fresh() -> str:
    """Return the lines that a new database on a server of its own gives."""
    candidate = max(installed(), key=lambda one: one.version, default=None)
    if candidate is None:
        raise SystemExit("There is no PostgreSQL here to install the log on.")
    with candidate.start() as server:
        server.execute("create database {}", "facts")
        migrate.upgrade(server.url("facts"), "audit@head")
        with closing(psycopg.connect(server.url("facts"))) as connection:
            return "".join(f"{line}\n" for line in facts.to_ship(found(connection)))


def main() -> None:
    """Write the file of the newest migration of the log."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    (module,) = (revisions.directory() / "versions").glob(f"{revisions.needed()}_*.py")
    path = module.with_suffix(facts.SUFFIX)
    path.write_text(fresh(), "utf-8")
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
