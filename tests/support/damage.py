"""Exports made without a database, of whatever rows: what somebody might have written."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from auditdb._export import formats, manifest, row_key, versions
from auditdb._export.formats import parquet
from auditdb._export.formats.base import Form
from auditdb._query import page_cursor
from tests.support.exports import sha256

BEGIN = 1_767_225_600_000_000
"""The beginning of 2026, in microseconds since 1970."""
LOG = "2f0e0b1c-7c3e-4a57-9a50-0d8f6e5d9a11"


def row(number: int, **cells: Any) -> dict[str, Any]:
    """Return a row as Parquet has it: documents are texts, times and ids numbers."""
    found = dict.fromkeys(versions.CURRENT.names)
    return {
        **found,
        "id": 700 + number,
        "tx": 50,
        "occurred_at": BEGIN + number,
        "account_id": "1",
        "action": "license_updated",
        "item_type": "license",
        "item_id": "42",
        "actor_type": "platform_user",
        "actor_id": "7",
        "db_role": "app",
        "application": "",
        "is_cascade": False,
        "is_deleted": False,
        "changes": '{"note": {"new": "b", "old": "a"}}',
        **cells,
    }


def line(found: dict[str, Any]) -> str:
    """Return a row as JSON Lines has it."""
    members = []
    for name, kind in versions.CURRENT.columns.items():
        cell = found[name]
        if cell is None:
            value = "null"
        elif kind == "jsonb":
            value = cell
        elif kind == "timestamptz":
            value = json.dumps(page_cursor.to_iso(cell))
        else:
            value = json.dumps(str(cell) if kind == "bigint" else cell, ensure_ascii=False)
        members.append(f'"{name}":{value}')
    return f"{{{','.join(members)}}}"


def with_member(text: str, member: str) -> str:
    """Return a line with another member in place of the one of the same name."""
    name = member.split(":")[0]
    begin = text.index(f"{name}:")
    _, end = json.JSONDecoder().raw_decode(text, begin + len(name) + 1)
    return text[:begin] + member + text[end:]


def written(place: Path, form: str, rows: list[dict[str, Any]], **about: Any) -> Path:
    """Write an export of rows into a new directory; `about` goes into the manifest."""
    if form == "jsonl":
        return written_lines(place, [line(found) for found in rows], rows, **about)
    place.mkdir()
    path = place / f"log.{form}"
    if form == "csv":
        path.write_bytes(_csv(rows))
    else:
        schema = parquet.schema(versions.CURRENT)
        cells = {name: [found[name] for found in rows] for name in schema.names}
        pyarrow.parquet.write_table(pyarrow.table(cells, schema=schema), path)
    return _with_manifest(place, formats.form(form), path, rows, about)


def written_lines(
    place: Path, lines: list[str], rows: list[dict[str, Any]] | None = None, **about: Any
) -> Path:
    """Write an export as JSON Lines into a new directory."""
    place.mkdir()
    path = place / "log.jsonl"
    path.write_text("".join(f"{one}\n" for one in lines), "utf-8")
    if rows is None:
        rows = [row(number) for number in range(len(lines))]
    return _with_manifest(place, formats.form("jsonl"), path, rows, about)


def rewritten(place: Path, content: bytes) -> None:
    """Give the only file of an export another content, and its manifest size and hash of that."""
    path = place / manifest.NAME
    found = json.loads(path.read_text("utf-8"))
    (one,) = found["files"]
    (place / one["name"]).write_bytes(content)
    one |= {"bytes": len(content), "sha256": sha256(content)}
    found["sha256"] = sha256(f"{sha256(content)}  {one['name']}\n".encode())
    path.write_text(json.dumps(found), "utf-8")


def renamed(place: Path, path: Path) -> None:
    """Have the manifest of an export name another file as the only one, with size and hash."""
    found = json.loads((place / manifest.NAME).read_text("utf-8"))
    found["files"][0] |= {"name": path.name}
    (place / manifest.NAME).write_text(json.dumps(found), "utf-8")
    rewritten(place, path.read_bytes())


def _csv(rows: list[dict[str, Any]]) -> bytes:
    names = list(formats.form("csv").columns)
    to = io.StringIO()
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(names)
    for found in rows:
        cells = found | {"occurred_at": page_cursor.to_iso(found["occurred_at"])}
        writer.writerow([cells[name] for name in names])
    return to.getvalue().encode()


def _with_manifest(
    place: Path, form: Form, path: Path, rows: list[dict[str, Any]], about: dict[str, Any]
) -> Path:
    content = path.read_bytes()
    first, last = (_key(rows[at]) if rows else None for at in (0, -1))
    one = manifest.DataFile(path.name, len(rows), len(content), sha256(content), None, None)
    found = {
        "format": form.version.number,
        "data": form.format.name,
        "compression": form.compression.name,
        "spreadsheet": False,
        "columns": [{"name": name, "type": kind} for name, kind in form.columns.items()],
        "order": list(form.version.order),
        "layouts": [],
        "actions": [],
        "filters": {"account_id": None, "since": None, "until": None},
        "rows": len(rows),
        "sha256": manifest.digest([one]),
        "files": [one.as_json() | {"first": first, "last": last}],
        "watermark": {"next_tx": 1000, "pending": [], "era": 1, "log": LOG},
        "after": None,
    } | about
    (place / manifest.NAME).write_text(json.dumps(found), "utf-8")
    return place


def _key(found: dict[str, Any]) -> dict[str, str] | None:
    moment = found["occurred_at"]
    if not page_cursor.is_time(moment):
        return None
    key = row_key.RowKey(moment, found["id"], found["tx"], found["account_id"].encode())
    return key.as_json()
