"""Exports the log: pins what it is, writes it slice by slice, and says so when it is whole."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from auditdb._export import (
    columns,
    files,
    formats,
    manifest,
    read_transaction,
    slices,
    state_file,
    watermark,
)
from auditdb._export import export_job as jobs
from auditdb._export.export_job import Job, Journal, Reached
from auditdb._export.manifest import DataFile
from auditdb._export.selection import Selection, all_of
from auditdb._export.state_file import StateFile
from auditdb._upkeep import database, maintenance
from auditdb.errors import (
    ExportFailed,
    LogBusy,
    PermissionDenied,
    SchemaAhead,
    SchemaBehind,
    hinted,
    translated,
)

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    from auditdb._export.slices import PlannedFile
    from auditdb._export.watermark import Mark, Watermark


class Progress(Protocol):
    """Is told how far an export is."""

    def begin(self, rows: int, done: int) -> None:
        """There are so many rows, of which so many were there before."""
        ...

    def advance(self, rows: int) -> None:
        """So many more rows were written."""
        ...


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and how."""

    form: formats.Form
    wanted: Selection
    asked: dict[str, Any]
    """The same as the person said it: what a broken-off export must be asked for to go on."""
    per_partition: bool = False
    since_last: Path | None = None
    """The state file of an incremental export."""
    primary: str | None = None
    """The URL of the primary, where the export reads from a standby."""
    by: tuple[str, str] | None = None
    """Type and id of the actor that the log says made the export."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an export wrote."""

    rows: int
    files: tuple[DataFile, ...]
    sha256: str
    """The hash of all the files, which the row log_exported has too."""
    went_on: bool = False
    """Whether part of it had been written before."""


def to_directory(url: str, directory: Path, request: ExportRequest, progress: Progress) -> Result:
    """Export into `directory`, or go on with what was broken off there.

    Raises ExportFailed, WatermarkRefused and PermissionDenied before anything is read, or later
    where the disk or the database fails; then the same call goes on.
    """
    request.form.check()
    hint = "When it is back, the same command goes on where it stopped."
    with files.disk(directory), hinted(hint), ExitStack() as held:
        files.make_directory(directory)
        held.enter_context(files.locked(directory))
        job = jobs.load(directory, request.asked)
        if job is not None and (directory / manifest.NAME).exists():
            return _finish(directory, job, request, Journal(directory), went_on=True)
        source = held.enter_context(_Source.opened(url, request))
        journal = Journal(directory)
        went_on = job is not None
        if job is None:
            job = source.job()
            jobs.save(directory, job)
        else:
            source.check_unchanged(job)
        _write(source, directory, job, journal, progress)
        if journal.recorded is None:
            journal.note_recorded(source.record(job, list(journal.done.values())))
        about = _about(job, source.mark, request.form)
        done = [journal.done[planned.name] for planned in job.files]
        files.write_json(
            directory / manifest.NAME, manifest.content(request.form, done, job.filters, about)
        )
        return _finish(directory, job, request, journal, went_on=went_on)


def to_stream(url: str, stream: IO[bytes], request: ExportRequest, progress: Progress) -> Result:
    """Export to `stream`, without a manifest; raises as to_directory()."""
    request.form.check()
    if request.per_partition:
        raise ExportFailed("One stream is one file: leave out --per-partition.")
    stdout = files.disk(Path("stdout"), hint="What was written is not whole: export again.")
    with stdout, hinted("Export again."), _Source.opened(url, request) as source:
        job = source.job()
        (planned,) = job.files
        hashed = files.Hashed(stream)
        progress.begin(planned.rows, 0)
        at = Reached()
        with formats.writer(request.form, hashed) as writer:
            writer.begin()
            for part in planned.slices:
                at = source.write(writer, job, part, at, progress)
            writer.close()
        hashed.flush()
        done = DataFile("-", planned.rows, hashed.bytes, hashed.sha256, at.first, at.last)
        source.check_unchanged(job)
        _move_on(request, job, source.record(job, [done]))
        return Result(planned.rows, (done,), manifest.digest([done]))


@dataclass(frozen=True, slots=True)
class _Source:
    """The database that is exported from, and the one where the export leaves a row."""

    request: ExportRequest
    connection: psycopg.Connection[Any]
    primary: psycopg.Connection[Any]
    row_security: bool
    mark: Mark
    after: Watermark | None
    held: ExitStack

    @classmethod
    def opened(cls, url: str, request: ExportRequest) -> _Source:
        """Connect, and raise what speaks against the export before it begins."""
        with ExitStack() as held:
            connection = held.enter_context(database.connect(url))
            primary = connection
            if request.primary is not None:
                primary = held.enter_context(database.connect(database.resolve(request.primary)))
            _check_recorder(primary)
            _check_columns(connection)
            _keep_partitions_ahead(primary)
            row_security = read_transaction.needs_row_security(connection)
            mark = watermark.take(connection, on_standby=request.primary is not None)
            after = None
            if request.since_last is not None:
                after = state_file.read(request.since_last, request.wanted.as_json())
            if after is not None:
                watermark.check_order(after, mark)
                past_policies = read_transaction.needs_row_security(primary)
                with read_transaction.reading(primary, row_security=past_policies):
                    watermark.check_witness(primary, after)
                if watermark.not_after(mark.watermark, after):
                    # A standby may lie behind what was exported: there is nothing new in it.
                    mark = replace(mark, watermark=after)
            return cls(request, connection, primary, row_security, mark, after, held.pop_all())
        raise AssertionError  # nothing above swallows an error

    def __enter__(self) -> _Source:
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
        return Job(
            str(uuid4()),
            request.asked,
            request.wanted.as_json(),
            self.after,
            self.mark.watermark,
            planned,
            f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            str(self.connection.info.parameter_status("server_version")),
        )

    def write(
        self,
        writer: formats.Writer,
        job: Job,
        part: slices.Slice,
        at: Reached,
        progress: Progress,
    ) -> Reached:
        """Write one slice; return how far that is, without the bytes."""
        where = all_of(
            [
                *slices.bounds(part),
                *_wanted(self.request, job).conditions(),
                self._condition(job),
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
            "format": form.format,
            "compression": form.compression,
        }
        given = {key: found for key, found in details.items() if found is not None}
        with translated(), self.primary.transaction():
            if self.request.by is not None:
                self.primary.execute("select audit.set_actor(%s, %s)", self.request.by)
            row = self.primary.execute(
                "select audit.record_export(%s::jsonb)", [json.dumps(given)]
            ).fetchone()
        return int(row[0]) if row else 0

    def _condition(self, job: Job) -> sql.Composable:
        return watermark.between(job.after, job.upto, self.mark.eras)


def _check_recorder(connection: psycopg.Connection[Any]) -> None:
    with translated():
        row = connection.execute(
            "select pg_is_in_recovery(), to_regprocedure('audit.record_export(jsonb)'),"
            " has_function_privilege(to_regprocedure('audit.record_export(jsonb)'), 'execute'),"
            " current_user"
        ).fetchone()
    is_standby, function, may_call, role = row or (True, None, None, "")
    if function is None:
        raise SchemaBehind(
            "The database has no function audit.record_export().", hint="Run `auditdb upgrade`."
        )
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


def _check_columns(connection: psycopg.Connection[Any]) -> None:
    """Raise SchemaAhead where the log has columns that this package would leave out."""
    with read_transaction.reading(connection, row_security=True):
        rows = connection.execute(
            "select a.attname from pg_catalog.pg_attribute as a"
            " where a.attrelid = 'audit.log'::pg_catalog.regclass"
            " and a.attnum > 0 and not a.attisdropped order by a.attnum"
        ).fetchall()
    unknown = [name for (name,) in rows if name not in columns.COLUMNS]
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


def _wanted(request: ExportRequest, job: Job) -> Selection:
    # "7d ago" is what it was when the export began.
    since, until = (
        at and datetime.fromisoformat(at) for at in (job.filters["since"], job.filters["until"])
    )
    return replace(request.wanted, since=since, until=until)


def _write(
    source: _Source, directory: Path, job: Job, journal: Journal, progress: Progress
) -> None:
    done = sum(
        planned.rows
        if planned.name in journal.done
        else sum(part.rows for part in planned.slices[: _reached(source, journal, planned).slices])
        for planned in job.files
    )
    progress.begin(sum(planned.rows for planned in job.files), done)
    for planned in job.files:
        path = directory / planned.name
        if planned.name not in journal.done:
            journal.note_done(_write_file(source, path, job, planned, journal, progress))
        if files.part_of(path).exists():
            files.publish(path)
        if not path.exists():
            raise ExportFailed(f"{path} was written and is gone.", hint="Export again, elsewhere.")
    source.check_unchanged(job)


def _reached(source: _Source, journal: Journal, planned: PlannedFile) -> Reached:
    if source.request.form.format == "parquet":
        return Reached()
    return journal.reached.get(planned.name, Reached())


def _write_file(
    source: _Source,
    path: Path,
    job: Job,
    planned: PlannedFile,
    journal: Journal,
    progress: Progress,
) -> DataFile:
    at = _reached(source, journal, planned)
    with files.open_part(path, keep=at.bytes) as raw:
        hashed = files.Hashed(raw)
        raw.seek(0)
        while block := raw.read(files.CHUNK):
            hashed.seen(block)
        if at.slices and hashed.sha256 != at.sha256:
            raise ExportFailed(
                f"{files.part_of(path)} is not as it was written.",
                hint="Export into a new directory.",
            )
        with formats.writer(source.request.form, hashed) as writer:
            if not at.slices:
                writer.begin()
            for part in planned.slices[at.slices :]:
                at = source.write(writer, job, part, at, progress)
                if writer.can_go_on:
                    files.sync(raw)
                    at = replace(at, bytes=hashed.bytes, sha256=hashed.sha256)
                    journal.note_slice(planned.name, at)
            writer.close()
        files.sync(raw)
    return DataFile(planned.name, planned.rows, hashed.bytes, hashed.sha256, at.first, at.last)


def _about(job: Job, mark: Mark, form: formats.Form) -> dict[str, Any]:
    return {
        "watermark": job.upto.as_json(),
        "after": job.after and job.after.as_json(),
        "is_standby": mark.is_standby,
        "server_version": job.server_version,
        "auditdb_version": version("auditdb"),
        "library": form.library,
        "created_at": job.created_at,
    }


def _finish(
    directory: Path, job: Job, request: ExportRequest, journal: Journal, *, went_on: bool
) -> Result:
    found = manifest.read(directory)
    _move_on(request, job, journal.recorded)
    jobs.forget(directory)
    return Result(found.rows, found.files, found.sha256, went_on)


def _move_on(request: ExportRequest, job: Job, witness: int | None) -> None:
    if request.since_last is None:
        return
    reached = StateFile(replace(job.upto, witness=witness), job.filters, job.id)
    with files.disk(request.since_last):
        state_file.replace(request.since_last, job.after, reached)
