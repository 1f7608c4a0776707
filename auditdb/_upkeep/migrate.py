"""Alembic by program: bring a database up to date, say where it stands, print the script."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError, to_tuple

from auditdb._upkeep import database, maintenance, revisions
from auditdb._upkeep.revisions import directory
from auditdb.errors import DatabaseFailed, LogBusy, MigrationFailed, translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.script import Script


ENGINE = "audit"
"""The branch of the log itself."""

EXAMPLE = "licensing"
"""The branch of the tables of a licensing platform: the example, and the platform of the demo."""

INTERVALS = ("month", "quarter", "year")
"""What a partition of the log can span."""

_ATTEMPTS = 4
"""How often an upgrade is tried that meets another one."""

HAS_VERSIONS = """
select from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'audit' and c.relname = 'alembic_version' and c.relkind = 'r'
  and not c.relrowsecurity
"""
"""Finds the table of revisions. What else somebody gave its name could be code of theirs."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a database stands on one branch of the migrations."""

    name: str
    """Name of the branch: audit, licensing."""

    current: str | None
    """The newest revision that the database has, None where it has none of this branch."""

    head: str
    """The newest revision there is."""

    missing: tuple[str, ...]
    """The revisions that the database lacks, oldest first, each with its title."""

    @property
    def is_behind(self) -> bool:
        """Whether it lacks a revision that it should have: one not installed should not."""
        return bool(self.missing) and (self.name == ENGINE or self.current is not None)


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where a database stands on every branch."""

    branches: tuple[Branch, ...]
    """The branches, by name."""

    unknown: tuple[str, ...]
    """Revisions of the database that this auditdb does not know: a newer one made them."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The revisions to run on the branches that are behind."""
        return tuple(title for b in self.branches if b.is_behind for title in b.missing)


def _config(url: str, output: StringIO | None = None) -> Config:
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(directory()))


@contextmanager
def _failing(url: str | None = None) -> Iterator[None]:
    try:
        with translated():
            yield
    except CommandError as error:
        if url is not None:
            _refuse_newer(url)
        raise MigrationFailed(f"{error}.".replace("..", ".")) from error
    except AssertionError as error:
        # What Alembic says of steps on a branch that the database does not have.
        raise MigrationFailed("The database has no such revision.") from error


def _refuse_newer(url: str) -> None:
    with database.connect(url, accept="any") as connection:
        unknown = current(connection).unknown
    if unknown:
        raise revisions.ahead(unknown)


def upgrade(
    url: str, revision: str | None = None, *, partition_interval: str | None = None
) -> tuple[str, ...]:
    """Bring the database at `url` up to date, in one transaction; return the revisions run.

    That is the engine, and the example where the database has it. `revision` names another end:
    `licensing@head` brings the example too, `heads` is all there is. Tables that are tracked
    already get their triggers recompiled, and the log partitions ahead of time if nobody uses it
    right then. `partition_interval`, for a new log, is month (the default), quarter or year.

    Raises ValueError for another interval, MigrationFailed for one that the log there is was not
    installed with and for a revision that does not exist, SchemaForeign where a schema audit is
    there that auditdb did not make, SchemaAhead where a newer auditdb upgraded the database, and
    the errors of the connection and the database.
    """
    _check_name(partition_interval)
    with _failing(url):
        for attempt in range(_ATTEMPTS):
            config = _config(url)
            config.attributes["partition_interval"] = partition_interval
            try:
                command.upgrade(config, _target(revision) or _newest(url))
                break
            except DatabaseFailed as error:
                # Somebody else made the schema at the same moment: now there is one to look at.
                if attempt == _ATTEMPTS - 1 or not _is_made_meanwhile(error):
                    raise
        _look_ahead(url)
    return _ran(config)


def _check_name(interval: str | None) -> None:
    if interval not in (None, *INTERVALS):
        raise ValueError("The interval of partitions is month, quarter or year.")


def _is_made_meanwhile(error: DatabaseFailed) -> bool:
    """Return whether an upgrade failed for the schema that another one was making."""
    cause = error.__cause__
    return isinstance(cause, psycopg.errors.DuplicateSchema) or (
        isinstance(cause, psycopg.errors.UniqueViolation)
        and cause.diag.constraint_name == "pg_namespace_nspname_index"
    )


def _target(revision: str | None) -> str | None:
    # The example is written for the newest engine, and needs more of it than it was made on.
    return "heads" if revision == f"{EXAMPLE}@head" else revision


def _newest(url: str) -> str:
    """Return what brings the branches up to date that the database has, and the engine anyhow."""
    with database.connect(url, accept="any") as connection:
        branches = current(connection).branches
    has_all = all(branch.current for branch in branches)
    return "heads" if has_all else f"{ENGINE}@head"


def _look_ahead(url: str) -> None:
    with database.connect(url, accept="any") as connection:
        found = connection.execute("select to_regprocedure('audit.maintain(interval)')").fetchone()
        if found != (None,):
            with suppress(LogBusy):
                maintenance.extend(connection, patience=1.0)


def missing_roles(url: str) -> tuple[str, ...]:
    """Give the roles of the log their rights; return what a DBA has to run where one is missing.

    Raises the errors of the connection and the database.
    """
    with translated(), database.connect(url, accept="any") as connection:
        return tuple(row[0] for row in connection.execute("select audit.grant_rights()"))


def downgrade(url: str, revision: str) -> tuple[str, ...]:
    """Take the database at `url` back to `revision`, in one transaction; return those undone.

    `licensing@base` takes the example away: its tables, and its actions but those that rows of
    the log have. `audit@base` takes everything away. Nothing happens where there is nothing to
    undo. Raises DowngradeRefused where rows of the log would be lost, MigrationFailed where others
    built on what would go, else as upgrade() does.
    """
    config = _config(url)
    with _failing(url), _naming_dependents():
        with database.connect(url, accept="any") as connection:
            state = current(connection)
        if not state.unknown and not any(branch.current for branch in state.branches):
            return ()
        command.downgrade(config, revision)
    return _ran(config)


@contextmanager
def _naming_dependents() -> Iterator[None]:
    """Say what depends on that which cannot be dropped; PostgreSQL has it in the detail alone."""
    try:
        yield
    except DatabaseFailed as error:
        if not isinstance(error.__cause__, psycopg.errors.DependentObjectsStillExist):
            raise
        dependents = "; ".join((error.__cause__.diag.message_detail or "").splitlines())
        raise MigrationFailed(
            f"Others built on what would be taken away: {dependents}.",
            hint="Drop or move what depends on it, then run the same command again.",
        ) from error.__cause__


def _ran(config: Config) -> tuple[str, ...]:
    steps = config.attributes.get("steps", [])
    scripts = _scripts()
    return tuple(_title(scripts.get_revision(s.up_revision_id)) for s in steps)


def script(revision: str | None = None, *, partition_interval: str | None = None) -> str:
    """Return the SQL that brings an empty database to `revision`, for `psql -1 -f`.

    Without one that is the engine alone, else as for upgrade(); `FROM:TO` gives the script between
    two revisions. Raises ValueError and MigrationFailed as upgrade() does.
    """
    _check_name(partition_interval)
    target = _target(revision) or f"{ENGINE}@head"
    if partition_interval is not None and ":" in target:
        raise MigrationFailed(
            f"{target} begins with a log that is there: what its partitions span is chosen when "
            "it is installed.",
            hint="Leave out --partitions.",
        )
    config = _config("postgresql://", output := StringIO())
    config.attributes["partition_interval"] = partition_interval
    with _failing():
        command.upgrade(config, target, sql=True)
    return output.getvalue()


def heads() -> tuple[str, ...]:
    """Return the newest revision of each branch, in the order of their names."""
    return tuple(sorted(_scripts().get_heads()))


def current(connection: psycopg.Connection[Any]) -> MigrationStatus:
    """Return where the database behind `connection` stands; raises errors of the database."""
    with translated():
        found = _versions(connection)
    scripts = _scripts()
    known = {s.revision: s for s in scripts.walk_revisions()}
    applied = _with_ancestors(known, found & known.keys())
    branches = []
    for head in sorted(scripts.get_heads()):
        line = _line(known, head)
        done = [s.revision for s in line if s.revision in applied]
        branches.append(
            Branch(
                name=min(line[0].branch_labels),
                current=done[-1] if done else None,
                head=head,
                missing=tuple(_title(s) for s in line if s.revision not in applied),
            )
        )
    return MigrationStatus(tuple(branches), unknown=tuple(sorted(found - known.keys())))


def _versions(connection: psycopg.Connection[Any]) -> frozenset[str]:
    if connection.execute(HAS_VERSIONS).fetchone() is None:
        return frozenset()
    rows = connection.execute("select version_num from audit.alembic_version")
    return frozenset(row[0] for row in rows)


def _with_ancestors(known: dict[str, Script], revisions: frozenset[str] | set[str]) -> set[str]:
    waiting, seen = list(revisions), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [*to_tuple(known[name].down_revision, ()), *_depends_on(known[name])]
    return seen


def _depends_on(revision: Script) -> tuple[str, ...]:
    return tuple(to_tuple(revision.dependencies, ()))


def _line(known: dict[str, Script], head: str) -> list[Script]:
    line = [known[head]]
    while below := to_tuple(line[0].down_revision, ()):
        line.insert(0, known[below[0]])
    return line


def _title(revision: Script) -> str:
    return f"{revision.revision} ({revision.doc.rstrip('.')})"
