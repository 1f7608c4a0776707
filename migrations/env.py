"""Runs the revisions: which database, one upgrade at a time, the version table in schema audit."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from alembic import context
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from auditdb import errors
from auditdb._upkeep import database, patience

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alembic.runtime.migration import MigrationContext, MigrationInfo

config = context.config

HERE = Path(__file__)
# Whoever comes second waits in guard.sql, then finds nothing left to do. What is set ends with the
# transaction, so that it works through a connection pooler.
BEFORE = (
    # Whatever others may create in the schemas of the session's search_path is not called.
    "set local search_path = pg_catalog, pg_temp",
    patience.BOUND,
    HERE.with_name("guard.sql").read_text("utf-8"),
)
# A new version of the compiler reaches the tables that are tracked already.
AFTER = (
    "comment on table audit.alembic_version is 'The revisions of auditdb in this database.'",
    "comment on column audit.alembic_version.version_num is 'The newest revision of a branch.'",
    "select audit.refresh()",
    "select audit.grant_rights()",
)
# After a downgrade that left nothing.
CLEAR = HERE.with_name("clear.sql").read_text("utf-8")


def find_url() -> str:
    """Return the URL: `-x url=…`, else what a program configured, else AUDITDB_URL or PG*."""
    given = context.get_x_argument(as_dictionary=True).get("url")
    return database.resolve(given or config.get_main_option("sqlalchemy.url"))


def run(**how: Any) -> None:
    """Run the revisions that were asked for in one transaction, configured by `how`."""
    steps: list[MigrationInfo] = config.attributes.setdefault("steps", [])

    def note(
        ctx: MigrationContext,
        step: MigrationInfo,
        heads: Collection[Any],
        run_args: Mapping[str, Any],
    ) -> None:
        steps.append(step)

    context.configure(
        version_table_schema="audit",
        transaction_per_migration=False,
        on_version_apply=note,
        **how,
    )
    only_looks = context.get_context().opts.get("dont_mutate", False)
    with context.begin_transaction():
        if not only_looks:
            if witness := config.attributes.get("witness"):
                witness.process = context.get_bind().scalar(text("select pg_backend_pid()"))
            for statement in BEFORE:
                context.execute(statement)
            if interval := config.attributes.get("partition_interval"):
                context.execute(f"set local audit.partition_interval = '{interval}'")
                if not context.is_offline_mode():
                    refuse_other(interval)
        context.run_migrations()
        if any(step.is_upgrade and not step.is_stamp for step in steps):
            for statement in AFTER:
                context.execute(statement)
        elif not only_looks and not any(step.is_stamp for step in steps):
            context.execute(CLEAR)


def refuse_other(interval: str) -> None:
    """Raise MigrationFailed where there is a log whose partitions do not span the `interval`."""
    connection = context.get_bind()
    # guard.sql has looked at whose schema it is, and has it locked.
    if connection.scalar(text("select to_regclass('audit.option')")) is None:
        return
    query = "select o.value from audit.option as o where o.name = 'partition_interval'"
    if (found := connection.scalar(text(query))) != interval:
        change = "update audit.option set value = '{}' where name = 'partition_interval';"
        raise errors.MigrationFailed(
            f"A partition of this log spans a {found}, not a {interval}: that is chosen when the "
            "log is installed.",
            hint="Leave the interval out to go on as it is. To make the partitions that are not "
            "there yet otherwise, as the owner of the log: " + change.format(interval),
        )


def run_online() -> None:
    """Run the revisions on the database."""
    url = find_url()
    try:
        with patience.Witness(url) as witness, database.engine(url).connect() as connection:
            config.attributes["witness"] = witness
            run(connection=connection)
    except DBAPIError as error:
        driver = errors.driver_error(error)
        if isinstance(driver, psycopg.errors.LockNotAvailable):
            raise witness.gave_up(driver) from driver
        if isinstance(driver, psycopg.OperationalError) and driver.sqlstate is None:
            raise database.unreachable(url, driver) from driver
        # SQLAlchemy's message would repeat the whole script.
        raise errors.translate(error) from driver


if config.config_file_name is not None:
    logging.basicConfig(format="%(message)s", level=logging.INFO)

if context.is_offline_mode():
    # Without the named style a % in the script would come out doubled.
    run(dialect_name="postgresql", literal_binds=True, dialect_opts={"paramstyle": "named"})
else:
    run_online()
