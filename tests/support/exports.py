"""What the tests of exports share: rows to export, exports made, and what is in them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from auditdb._export import formats, reader, versions
from auditdb._export.compression import COMPRESSIONS
from auditdb._export.formats.base import ExportedRow
from tests.support.commands import START, Ran, add, auditdb

RANGE = ("--since", "2025-01-01", "--until", "2026-09-01")
"""Wide enough for what fill() and add_hostile() write, and closed."""

FORMS = [(form, compress) for form in formats.FORMATS for compress in COMPRESSIONS]

FILL = """
insert into audit.log (occurred_at, account_id, action, item_type, item_id, item_label,
  actor_type, actor_id, db_role, changes, context)
select timestamptz '2026-01-01 00:00Z' + n * %(every)s::interval, (n %% 3)::text, 'license_updated',
  'license', (n %% 100)::text, 'License ' || n, 'platform_user', (n %% 7)::text, 'app',
  jsonb_build_object('note', jsonb_build_object('old', n, 'new', repeat(md5(n::text), 3))),
  jsonb_build_object('request_id', md5(n::text))
from generate_series(1, %(rows)s) as n
"""


def fill(url: str, rows: int, every: str = "5 minutes") -> None:
    """Write rows of the log from 2026 on, one every so often."""
    with psycopg.connect(url) as connection:
        connection.execute(FILL, {"rows": rows, "every": every})


def export(url: str, place: Path, *options: str) -> Ran:
    """Export into `place`, which must work."""
    ran = auditdb("export", str(place), "--url", url, *options)
    assert ran.returncode == 0, ran.stderr
    return ran


def data(place: Path) -> dict[str, bytes]:
    """Return the contents of all data files of an export."""
    return {
        path.name: path.read_bytes() for path in place.iterdir() if path.name != "manifest.json"
    }


def manifest(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "manifest.json").read_text("utf-8"))
    return found


def rows(place: Path) -> Iterator[ExportedRow]:
    """Yield the rows of an export in their order."""
    found = manifest(place)
    form = formats.form(
        found["data"],
        found["compression"],
        spreadsheet=found["spreadsheet"],
        version=versions.VERSIONS[found["format"]],
    )
    for one in found["files"]:
        yield from reader.rows(place / one["name"], form)


def keys(place: Path) -> list[tuple[str, int]]:
    """Return account and id of each row of an export, in their order."""
    return [(row.key.account.decode(), row.key.id) for row in rows(place)]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


HOSTILE = [
    "plain",
    "",
    'quote " and, comma; "" twice',
    "line\nbreak\r\nand\rreturn\ttab",
    "back\\slash \\n \\. \\N",
    "\\.",
    "nul-like \\u0000 and \\x00",
    "1234567890123456",
    "00123",
    "1E45678",
    "emoji 👩‍👩‍👧‍👦 ☃ \U0001d54f",
    "right to left \u202eabc\u202c שלום",
    "separators \u2028 \u2029 \x01 \x02 \x1f \x7f",
    "=1+2",
    "+1",
    "-1",
    "@sum",
    "\tcell",
    "\rcell",
    "'quoted",
    "NULL",
    "null",
]


def add_hostile(url: str, size: int = 1_000_000) -> None:
    """Write rows whose every text is one of those above, and one row of `size` characters."""
    for number, text in enumerate([*HOSTILE, "x\n" * (size // 2)]):
        add(
            url,
            occurred_at=START.replace(microsecond=number),
            account_id=text if len(text) < 1000 else "big",
            action=text if len(text) < 1000 else "big",
            item_id=str(9_007_199_254_740_993 + number),
            item_label=None if number % 2 else text,
            parent_type=text if len(text) < 1000 else None,
            actor_label=text,
            on_behalf_of_type="customer" if number % 2 else None,
            on_behalf_of_id=text if number % 2 and len(text) < 1000 else None,
            on_behalf_of_label=text if number % 2 else None,
            application=text,
            is_cascade=number % 3 == 0,
            changes=Jsonb({"value": {"old": text, "new": 9_007_199_254_740_993}}),
            context=None if number % 4 == 0 else Jsonb({"": text, "deep": [None, 1, "a"]}),
        )


def last_event(url: str) -> dict[str, object]:
    (line,) = auditdb("log", "--url", url, "--limit", "1", "--json").stdout.splitlines()
    found: dict[str, object] = json.loads(line)
    return found
