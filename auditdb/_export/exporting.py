"""Exports the log: pins what it is, writes it slice by slice, and says so when it is whole."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from auditdb._export import export_job as jobs
from auditdb._export import files, manifest, state_file
from auditdb._export.export_job import Job, Journal, Reached
from auditdb._export.export_source import Source
from auditdb._export.manifest import DataFile
from auditdb._export.state_file import StateFile
from auditdb.errors import ExportFailed, hinted

if TYPE_CHECKING:
    from auditdb._export.export_request import ExportRequest, Progress
    from auditdb._export.formats.base import Form
    from auditdb._export.slices import PlannedFile
    from auditdb._export.watermark import Mark
    from auditdb._export.witness import Witness


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
        job = jobs.load(directory, request.asked, request.form.version.number)
        if job is not None and (directory / manifest.NAME).exists():
            return _finish(directory, job, request, Journal(directory), went_on=True)
        source = held.enter_context(Source.opened(url, request))
        journal = Journal(directory)
        went_on = job is not None
        if job is None:
            job = source.job()
            jobs.save(directory, job)
        else:
            source.check_unchanged(job)
        _write(source, directory, job, journal, progress)
        if journal.recorded is None:
            row_id = source.record(job, list(journal.done.values()))
            journal.note_recorded(row_id, source.witness(job, row_id))
        about = _about(job, source.mark, request.form)
        done = [journal.done[planned.name] for planned in job.files]
        content = manifest.content(request.form, done, job, about)
        files.write_json(directory / manifest.NAME, content)
        return _finish(directory, job, request, journal, went_on=went_on)


def to_stream(url: str, stream: IO[bytes], request: ExportRequest, progress: Progress) -> Result:
    """Export to `stream`, without a manifest; raises as to_directory()."""
    request.form.check()
    if request.per_partition:
        raise ExportFailed("One stream is one file: leave out --per-partition.")
    stdout = files.disk(Path("stdout"), hint="What was written is not whole: export again.")
    with stdout, hinted("Export again."), Source.opened(url, request) as source:
        job = source.job()
        (planned,) = job.files
        hashed = files.Hashed(stream)
        progress.begin(planned.rows, 0)
        at = Reached()
        with request.form.writing(hashed) as writer:
            writer.begin()
            for part in planned.slices:
                at = source.write(writer, job, part, at, progress)
            writer.close()
        hashed.flush()
        done = DataFile("-", planned.rows, hashed.bytes, hashed.sha256, at.first, at.last)
        source.check_unchanged(job)
        _move_on(request, job, source.witness(job, source.record(job, [done])))
        return Result(planned.rows, (done,), manifest.digest([done]))


def _write(source: Source, directory: Path, job: Job, journal: Journal, progress: Progress) -> None:
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


def _reached(source: Source, journal: Journal, planned: PlannedFile) -> Reached:
    if not source.request.form.format.can_resume:
        return Reached()
    return journal.reached.get(planned.name, Reached())


def _write_file(
    source: Source,
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
        with source.request.form.writing(hashed) as writer:
            if not at.slices:
                writer.begin()
            for part in planned.slices[at.slices :]:
                at = source.write(writer, job, part, at, progress)
                if source.request.form.format.can_resume:
                    files.sync(raw)
                    at = replace(at, bytes=hashed.bytes, sha256=hashed.sha256)
                    journal.note_slice(planned.name, at)
            writer.close()
        files.sync(raw)
    return DataFile(planned.name, planned.rows, hashed.bytes, hashed.sha256, at.first, at.last)


def _about(job: Job, mark: Mark, form: Form) -> dict[str, Any]:
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
    _move_on(request, job, journal.witness)
    jobs.forget(directory)
    return Result(found.rows, found.files, found.sha256, went_on)


def _move_on(request: ExportRequest, job: Job, witness: Witness | None) -> None:
    if request.since_last is None:
        return
    reached = StateFile(replace(job.upto, witness=witness), job.filters, job.id)
    with files.disk(request.since_last):
        state_file.replace(request.since_last, job.after, reached)
