"""Rows of one moment and one id, told apart by their transaction alone: none lost, none twice."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from auditdb._query.filters import Filter
from auditdb._query.records import Event
from tests.conftest import Connect
from tests.export.test_follow import followed
from tests.support.commands import START, add, auditdb
from tests.support.exports import RANGE, data, export, rows

INSERT = """
insert into audit.log (id, occurred_at, account_id, action, item_type, item_id, actor_type,
  actor_id, db_role)
values (700, %s, '1', 'license_updated', 'license', '42', 'platform_user', '7', 'app')
returning tx
"""
ONLY = ("--action", "license_updated", "--format", "jsonl")


def insert(session: psycopg.Connection) -> int:
    """Write a row that its transaction alone tells from the others; return that."""
    row = session.execute(INSERT, [START]).fetchone()
    assert row is not None
    tx: int = row[0]
    return tx


def transactions(place: Path) -> list[int]:
    return [row.key.tx for row in rows(place)]


def test_increments_have_each_of_them_once(database: str, connect: Connect, tmp_path: Path) -> None:
    slow, quick = connect(), connect(autocommit=True)
    late, early = insert(slow), insert(quick)
    state = (*ONLY, "--since-last", str(tmp_path / "state"))
    export(database, tmp_path / "1", *state)
    slow.commit()
    export(database, tmp_path / "2", *state)
    last = insert(quick)
    export(database, tmp_path / "3", *state)
    found = [transactions(tmp_path / str(number)) for number in (1, 2, 3)]
    assert found == [[early], [late], [last]]
    export(database, tmp_path / "all", *ONLY)
    assert transactions(tmp_path / "all") == [late, early, last]


def test_followers_have_each_of_them_once(database: str, connect: Connect) -> None:
    slow, quick = connect(), connect(autocommit=True)
    written: list[int] = []

    def first() -> None:
        written.extend((insert(slow), insert(quick)))

    def third() -> None:
        written.extend((insert(quick), insert(quick)))

    looks = followed(database, Filter(), [first, slow.commit, third], _transaction)
    late, early, *last = written
    assert looks == [[early], [late], last]


def _transaction(event: Event) -> int:
    return event.tx


class Crashed(BaseException):
    """Stands for the process that is no more."""


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_export_that_breaks_off_between_them_goes_on(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, after: int
) -> None:
    from auditdb._export import export_job, slices

    for hour in range(4):
        for tx in (9, 5, 7):
            add(database, id=700, tx=tx, occurred_at=START.replace(hour=hour))
    monkeypatch.setattr(slices, "SLICE", 1)
    given = (*RANGE, "--format", form)
    export(database, tmp_path / "whole", *given)
    assert transactions(tmp_path / "whole") == [5, 7, 9] * 4
    original = export_job.Journal.note_slice
    calls = 0

    def crash(*args: Any) -> None:
        nonlocal calls
        original(*args)
        calls += 1
        if calls == after:
            raise Crashed

    with monkeypatch.context() as patch:
        patch.setattr(export_job.Journal, "note_slice", crash)
        with pytest.raises(Crashed):
            auditdb("export", str(tmp_path / "out"), "--url", database, *given)
    ((name, whole),) = data(tmp_path / "whole").items()
    part = tmp_path / f"out/{name}.part"
    noted = part.stat().st_size
    # One of the three that come next was written, and not noted.
    part.write_bytes(whole[: whole.index(b"\n", noted) + 1])
    export(database, tmp_path / "out", *given)
    assert data(tmp_path / "out") == {name: whole}
    last = json.loads((tmp_path / "out/manifest.json").read_text())["files"][0]["last"]
    assert (last["id"], last["tx"]) == ("700", "9")
