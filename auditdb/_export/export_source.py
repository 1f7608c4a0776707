"""The database that is exported from: pinned, counted, read slice by slice, and told about it."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from auditdb._export import (
    actions,
    layouts,
    log_columns,
    manifest,
    read_transaction,
    slices,
    state_file,
    watermark,
)
from auditdb._export import witness as witnesses
from auditdb._export.conditions import all_of, of_filter
from auditdb._export.export_job import Job, Reached
from auditdb._export.versions import LEFT_OUT
from auditdb._query import page_cursor
from auditdb._upkeep import database, maintenance
from auditdb.errors import (
    ExportFailed,
    LogBusy,
    PermissionDenied,
    SchemaAhead,
    SchemaBehind,
    translated,
)

if TYPE_CHECKING:
    import psycopg

    from auditdb._export.export_request import ExportRequest, Progress
    from auditdb._export.formats.base import Writer
    from auditdb._export.manifest import DataFile
    from auditdb._export.versions import FormatVersion
    from auditdb._export.watermark import Mark, Watermark
    from auditdb._export.witness import Witness
    from auditdb._query.filters import Filter


@dataclass(frozen=True, slots=True)
class Source:
    """The database that is exported from, and the one where the export leaves a row."""

    request: ExportRequest
    connection: psycopg.Connection[Any]
    primary: psycopg.Connection[Any]
    row_security: bool
    mark: Mark
    after: Watermark | None
    held: ExitStack

    @classmethod
    def opened(cls, url: str, request: ExportRequest) -> Source:
        """Connect, and raise what speaks against the export before it begins."""
        with ExitStack() as held:
            connection = held.enter_context(database.connect(url))
            primary = connection
            if request.primary is not None:
                primary = held.enter_context(database.connect(database.resolve(request.primary)))
            _check_recorder(primary)
            _check_columns(connection, request.form.version)
            _keep_partitions_ahead(primary)
            row_security = read_transaction.needs_row_security(connection)
            mark = watermark.take(connection, on_standby=request.primary is not None)
            with read_transaction.reading(connection, row_security=row_security):
                watermark.check_own(connection, mark)
            after = None
            if request.since_last is not None:
                # There the row that this export will leave is read again in the end.
                past_policies = read_transaction.needs_row_security(primary)
                after = state_file.read(request.since_last, request.wanted.as_json())
            if after is not None:
                watermark.check_order(after, mark)
                with read_transaction.reading(primary, row_security=past_policies):
                    watermark.check_witness(primary, after)
                if watermark.not_after(mark.watermark, after):
                    # A standby may lie behind what was exported: there is nothing new in it.
                    mark = replace(mark, watermark=after)
            return cls(request, connection, primary, row_security, mark, after, held.pop_all())
        raise AssertionError  # nothing above swallows an error

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self.held.close()

    def job(self) -> Job:
        """Pin what is to be exported, and count it."""
        request = self.request
        planned = slices.make(
            self.connection,
            request.wanted,
            watermark.between(self.after, self.mark.watermark, self.mark.eras),
            suffix=request.form.suffix,
            per_partition=request.per_partition,
            row_security=self.row_security,
        )
        with read_transaction.reading(self.connection, row_security=self.row_security):
            named = layouts.read(self.connection, planned.layouts)
            names = actions.read(self.connection, planned.actions)
        return Job(
            str(uuid4()),
            request.form.version.number,
            request.asked,
            request.wanted.as_json(),
            self.after,
            self.mark.watermark,
            planned.files,
            named,
            names,
            f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            str(self.connection.info.parameter_status("server_version")),
        )

    def write(
        self,
        writer: Writer,
        job: Job,
        part: slices.Slice,
        at: Reached,
        progress: Progress,
    ) -> Reached:
        """Write one slice; return how far that is, without the bytes."""
        where = all_of(
            [
                *slices.bounds(part),
                of_filter(_wanted(self.request, job)),
                watermark.between(job.after, job.upto, self.mark.eras),
            ]
        )
        with (
            read_transaction.reading(self.connection, row_security=self.row_security),
            self.connection.cursor() as cursor,
        ):
            written = writer.write(cursor, where, progress.advance)
        if written.rows != part.rows:
            raise ExportFailed(
                f"The log has {written.rows} rows from {part.first} to {part.end} "
                f"where it had {part.rows} when the export began.",
                hint="Was a partition detached? Export into a new directory.",
            )
        return Reached(at.slices + 1, first=at.first or written.first, last=written.last)

    def check_unchanged(self, job: Job) -> None:
        """Raise WatermarkRefused where rows were imported while the export was under way."""
        mark = watermark.take(self.connection, on_standby=self.request.primary is not None)
        if job.after == job.upto:
            # Nothing is read: how far the server is does not matter.
            mark = replace(mark, reached=max(mark.reached, job.upto.next_tx))
        watermark.check_unchanged(job.upto, mark)

    def record(self, job: Job, done: list[DataFile]) -> int:
        """Leave a row about the export in the log; return its id."""
        form = self.request.form
        details = {
            **job.filters,
            "rows": sum(one.rows for one in done),
            "sha256": manifest.digest(done),
            "files": len(done),
            "format": form.format.name,
            "compression": form.compression.name,
        }
        given = {key: found for key, found in details.items() if found is not None}
        with translated(), self.primary.transaction():
            if self.request.by is not None:
                self.primary.execute("select audit.set_actor(%s, %s)", self.request.by)
            row = self.primary.execute(
                "select audit.record_export(%s::jsonb)", [json.dumps(given)]
            ).fetchone()
        return int(row[0]) if row else 0

    def witness(self, job: Job, row_id: int) -> Witness | None:
        """Return the row that the export left, where the next one has to know it."""
        if self.request.since_last is None:
            return None
        past_policies = read_transaction.needs_row_security(self.primary)
        with read_transaction.reading(self.primary, row_security=past_policies):
            found = witnesses.of(self.primary, row_id, job.upto.next_tx)
        if len(found) != 1:
            raise ExportFailed(
                "The row that the export left in the log is not there.", hint="Export again."
            )
        return found[0]


def _check_recorder(connection: psycopg.Connection[Any]) -> None:
    with translated():
        row = connection.execute(
            "select pg_is_in_recovery(), to_regprocedure('audit.record_export(jsonb)'),"
            " has_function_privilege(to_regprocedure('audit.record_export(jsonb)'), 'execute'),"
            " current_user"
        ).fetchone()
    is_standby, function, may_call, role = row or (True, None, None, "")
    if function is None:
        raise SchemaBehind("The database has no function audit.record_export().")
    if is_standby:
        raise ExportFailed(
            "This server is a standby: it can neither keep a row about the export nor know which "
            "transactions are open.",
            hint="Export from the primary, or add --primary URL, which keeps the row.",
        )
    if not may_call:
        raise PermissionDenied(
            f"Role {role} may not export: it has no right to leave a row about it in the log.",
            hint="Run as a member of audit_exporter, or as the owner: "
            f'grant execute on function audit.record_export(jsonb) to "{role}";',
        )


def _check_columns(connection: psycopg.Connection[Any], version: FormatVersion) -> None:
    """Raise SchemaAhead where the log has columns that this package would leave out."""
    with read_transaction.reading(connection, row_security=True):
        found = log_columns.names(connection)
    unknown = [name for name in found if name not in {*version.columns, *LEFT_OUT}]
    if unknown:
        raise SchemaAhead(
            f"The log has columns that this auditdb does not know: {', '.join(unknown)}.",
            hint="An export would leave them out. Install the auditdb that upgraded the database, "
            "or a newer one.",
        )


def _keep_partitions_ahead(connection: psycopg.Connection[Any]) -> None:
    """Make partitions of the log ahead of time, where the role may and nobody is in the way."""
    with translated(), suppress(LogBusy):
        row = connection.execute(
            "select has_function_privilege(to_regprocedure('audit.maintain(interval)'), 'execute')"
        ).fetchone()
        if row == (True,):
            maintenance.extend(connection, patience=0)


def _wanted(request: ExportRequest, job: Job) -> Filter:
    # "7d ago" is what it was when the export began.
    since, until = (
        at and page_cursor.from_iso(at) for at in (job.filters["since"], job.filters["until"])
    )
    return replace(request.wanted, since=since, until=until)
