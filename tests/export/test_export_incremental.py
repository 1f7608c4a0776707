"""Incremental exports put together are the log, whatever commits when; the naive way loses rows."""

import json
import os
import random
import threading
import time
from pathlib import Path

import psycopg
import pytest

from auditdb._export import watermark
from auditdb.errors import WatermarkRefused
from tests.conftest import Connect
from tests.support.commands import add, auditdb
from tests.support.effort import sized
from tests.support.exports import export, fill, keys, manifest
from tests.support.helpers import value

SECONDS = sized(5, 30)
"""How long the writers write: 300 for a thorough run."""

WRITERS = 5


class Writer(threading.Thread):
    """Writes to a tracked table in transactions of all kinds until it is told to stop."""

    def __init__(self, url: str, number: int, stop: threading.Event) -> None:
        super().__init__(name=f"writer {number}")
        self.url = url
        self.number = number
        self.stop = stop
        self.random = random.Random(number)
        self.error: psycopg.Error | None = None
        self.transactions = 0

    def run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                while not self.stop.is_set():
                    self.transaction(connection)
                    self.transactions += 1
        except psycopg.Error as error:
            self.error = error

    def transaction(self, connection: psycopg.Connection) -> None:
        connection.execute("begin")
        for _ in range(self.random.randint(1, 5)):
            self.write(connection)
            # The longer a transaction is open, the more overtake it.
            self.stop.wait(self.random.choice([0, 0, 0.001, 0.01, 0.1]))
        match self.random.randrange(10):
            case 0 | 1:
                connection.execute("rollback")
            case 2 | 3:
                name = f"stress_{self.number}_{self.transactions}_{os.getpid()}"
                connection.execute(f"prepare transaction '{name}'".encode())
                self.stop.wait(self.random.choice([0.01, 0.2]))
                end = self.random.choice(["commit", "commit", "rollback"])
                connection.execute(f"{end} prepared '{name}'".encode())
            case _:
                connection.execute("commit")

    def write(self, connection: psycopg.Connection) -> None:
        insert = "insert into public.thing (name) values ('a')"
        if self.random.random() < 0.4:
            connection.execute("savepoint here")
            connection.execute(insert)
            if self.random.random() < 0.5:
                connection.execute("rollback to here")
            else:
                connection.execute("release here")
        else:
            connection.execute(insert)


def test_increments_are_the_log_under_stress_and_ids_alone_lose_rows(
    engine_database: str, tmp_path: Path
) -> None:
    with psycopg.connect(engine_database) as connection:
        connection.execute("create table public.thing (id bigserial primary key, name text)")
        connection.execute("select audit.track('public.thing')")
    stop = threading.Event()
    writers = [Writer(engine_database, number, stop) for number in range(WRITERS)]
    exported: list[tuple[str, int]] = []
    naive: list[int] = []
    number = late = 0

    def step(connection: psycopg.Connection) -> None:
        nonlocal number, late
        last = max(naive, default=0)
        found = connection.execute("select id from audit.log where id > %s", [last]).fetchall()
        naive.extend(row_id for (row_id,) in found)
        number += 1
        place = tmp_path / str(number)
        highest = max((row_id for _, row_id in exported), default=0)
        export(engine_database, place, "--format", "jsonl", "--since-last", str(tmp_path / "state"))
        new = keys(place)
        late += sum(row_id < highest for _, row_id in new)
        exported.extend(new)

    with psycopg.connect(engine_database, autocommit=True) as connection:
        for writer in writers:
            writer.start()
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and not any(writer.error for writer in writers):
                step(connection)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        assert [writer.error for writer in writers] == [None] * WRITERS
        step(connection)
        log = connection.execute("select account_id, id, action from audit.log").fetchall()
    # The last export cannot have the row about itself.
    *_, (_, newest, action) = sorted(log, key=lambda row: row[1])
    assert action == "log_exported"
    everything = {(account, row_id) for account, row_id, _ in log if row_id != newest}
    assert len(exported) == len(set(exported)), "a row was exported twice"
    assert set(exported) == everything
    assert late > 0, "no transaction committed late: the stress proves nothing"
    lost = {row_id for _, row_id in everything} - set(naive)
    print(
        f"{len(everything)} rows of {sum(writer.transactions for writer in writers)} transactions"
        f" in {number} exports, {late} rows late; the naive exporter lost {len(lost)}"
    )
    assert lost, "the naive exporter lost nothing: the stress proves nothing"


def two(url: str, place: Path, state: Path) -> list[tuple[str, int]]:
    export(url, place, "--format", "jsonl", "--since-last", str(state), "--action", "a")
    return keys(place)


def insert(connection: psycopg.Connection) -> tuple[str, int]:
    row = connection.execute(
        "insert into audit.log (action, item_type, item_id, actor_type, actor_id, db_role)"
        " values ('a', 'a', '1', 'a', '1', 'a') returning account_id, id"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_row_that_commits_late_comes_with_the_next_export_once(
    database: str, connect: Connect, tmp_path: Path
) -> None:
    slow, quick = connect(), connect()
    first = insert(slow)
    second = insert(quick)
    quick.commit()
    assert two(database, tmp_path / "1", tmp_path / "state") == [second]
    slow.commit()
    assert two(database, tmp_path / "2", tmp_path / "state") == [first]
    assert two(database, tmp_path / "3", tmp_path / "state") == []


def test_a_prepared_transaction_waits_alone(
    database: str, connect: Connect, tmp_path: Path
) -> None:
    slow = connect(autocommit=True)
    slow.execute("begin")
    first = insert(slow)
    name = f"wait_{first[1]}_{os.getpid()}"
    slow.execute(f"prepare transaction '{name}'".encode())
    second = insert(slow)
    assert two(database, tmp_path / "1", tmp_path / "state") == [second]
    slow.execute(f"commit prepared '{name}'".encode())
    assert two(database, tmp_path / "2", tmp_path / "state") == [first]


def test_a_pinned_export_does_not_grow_while_it_runs(
    database: str, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that come, and transactions that end, between counting and writing stay out."""
    from auditdb._export import slices

    slow, quick = connect(), connect(autocommit=True)
    insert(slow)
    there = insert(quick)
    make = slices.make

    def make_then_write(*args: object, **named: object) -> object:
        planned = make(*args, **named)  # type: ignore[arg-type]
        slow.commit()
        insert(quick)
        return planned

    monkeypatch.setattr(slices, "make", make_then_write)
    assert two(database, tmp_path / "1", tmp_path / "state") == [there]
    monkeypatch.undo()
    assert len(two(database, tmp_path / "2", tmp_path / "state")) == 2


def test_the_state_moves_on_only_when_all_is_written(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import files

    fill(database, 10)
    state = tmp_path / "state"
    export(database, tmp_path / "1", "--since-last", str(state))
    before = state.read_bytes()
    fill(database, 10)

    def fail(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "publish", fail)
    ran = auditdb("export", str(tmp_path / "2"), "--url", database, "--since-last", str(state))
    assert ran.returncode == 1
    assert "No space left on device" in ran.stderr
    assert state.read_bytes() == before
    monkeypatch.undo()
    (tmp_path / "2/export.json.part").unlink()
    export(database, tmp_path / "2", "--since-last", str(state))
    assert manifest(tmp_path / "2")["rows"] == 11
    assert state.read_bytes() != before


def test_a_state_file_is_of_one_log_and_one_selection(
    database: str, engine_database: str, tmp_path: Path
) -> None:
    state = str(tmp_path / "state")
    export(database, tmp_path / "1", "--since-last", state, "--account", "1")
    other = auditdb("export", str(tmp_path / "2"), "--url", database, "--since-last", state)
    assert other.returncode == 1
    assert "account_id" in other.stderr
    options = ("--since-last", state, "--account", "1")
    elsewhere = auditdb("export", str(tmp_path / "3"), "--url", engine_database, *options)
    assert elsewhere.returncode == 1
    assert "another log" in elsewhere.stderr
    (tmp_path / "state").write_text('{"format": 1}')
    broken = auditdb("export", str(tmp_path / "4"), "--url", database, *options)
    assert broken.returncode == 1
    assert "no state file" in broken.stderr


def test_a_state_file_that_knows_no_such_filter_is_of_exports_without_it(
    database: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    fill(database, 10)
    export(database, tmp_path / "1", "--since-last", str(state), "--account", "1")
    older = json.loads(state.read_text())
    del older["filters"]["actor"]
    state.write_text(json.dumps(older))
    refused = auditdb(
        "export", str(tmp_path / "2"), "--url", database, "--since-last", str(state),
        "--account", "1", "--actor", "platform_user",
    )  # fmt: skip
    assert refused.returncode == 1
    assert "differs in actor" in refused.stderr
    export(database, tmp_path / "2", "--since-last", str(state), "--account", "1")


def test_two_exports_cannot_move_one_state_on(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import slices

    state = str(tmp_path / "state")
    fill(database, 10)
    make = slices.make

    def make_after_another(*args: object, **named: object) -> object:
        monkeypatch.undo()
        export(database, tmp_path / "other", "--since-last", state)
        return make(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(slices, "make", make_after_another)
    ran = auditdb("export", str(tmp_path / "mine"), "--url", database, "--since-last", state)
    assert ran.returncode == 1
    assert "moved on by another export" in ran.stderr


def test_stdout_can_be_incremental(database: str, tmp_path: Path) -> None:
    fill(database, 10)
    options = ("--url", database, "--format", "jsonl", "--since-last", str(tmp_path / "state"))
    first = auditdb("export", "-", *options, "--action", "license_updated")
    second = auditdb("export", "-", *options, "--action", "license_updated")
    assert (len(first.stdout.splitlines()), second.stdout) == (10, "")
    with psycopg.connect(database) as connection:
        fill(database, 1)
        newest = value(connection, "select max(id) from audit.log")
    third = auditdb("export", "-", *options, "--action", "license_updated")
    assert [json.loads(line)["id"] for line in third.stdout.splitlines()] == [str(newest)]


# -- restored, set back, imported ------------------------------------------------------------


def take(connection: psycopg.Connection) -> watermark.Mark:
    return watermark.take(connection)


def test_a_log_of_another_server_is_refused_until_an_era_begins(
    database: str, connect: Connect, tmp_path: Path
) -> None:
    """What a restore on a new server gives: transaction ids that are far ahead, or behind."""
    state = tmp_path / "state"
    owner = connect(autocommit=True)
    fill(database, 10)
    assert len(two(database, tmp_path / "1", state)) == 0
    insert(owner)
    owner.execute("update audit.era set server = server + 1")
    owner.execute(
        "insert into audit.log (tx, action, item_type, item_id, actor_type, actor_id, db_role)"
        " values (9e17, 'a', 'a', '1', 'a', '1', 'a')"
    )
    refused = auditdb("export", str(tmp_path / "2"), "--url", database)
    assert refused.returncode == 1
    assert "select audit.begin_era();" in refused.stderr
    owner.execute("select audit.begin_era()")
    third = insert(owner)
    # All three, each once, though one has a transaction id of the future.
    assert len(two(database, tmp_path / "3", state)) == 3
    assert two(database, tmp_path / "4", state) == []
    export(database, tmp_path / "5", "--action", "a", "--format", "jsonl")
    found = keys(tmp_path / "5")
    assert len(found) == 3
    assert third in found


def test_rows_between_a_restore_and_the_era_come_whatever_their_transaction_ids(
    database: str, connect: Connect, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    owner = connect(autocommit=True)
    insert(owner)
    assert len(two(database, tmp_path / "1", state)) == 1
    # The new server counts from low on, and somebody writes before begin_era() is called.
    owner.execute("update audit.era set server = server + 1")
    low = owner.execute(
        "insert into audit.log (tx, action, item_type, item_id, actor_type, actor_id, db_role)"
        " values (5, 'a', 'a', '1', 'a', '1', 'a') returning account_id, id"
    ).fetchone()
    owner.execute("select audit.begin_era()")
    assert two(database, tmp_path / "2", state) == [low]
    assert two(database, tmp_path / "3", state) == []


def test_a_server_that_was_set_back_and_went_on_is_refused(
    database: str, connect: Connect, tmp_path: Path
) -> None:
    """Its transactions have passed the place by now: only what it has lost gives it away."""
    state = tmp_path / "state"
    owner = connect(autocommit=True)
    insert(owner)
    two(database, tmp_path / "1", state)
    two(database, tmp_path / "2", state)
    owner.execute("alter table audit.log disable trigger refuse_change")
    owner.execute(
        "delete from audit.log where id = (select max(id) from audit.log"
        " where action = 'log_exported')"
    )
    insert(owner)
    before = state.read_bytes()
    ran = auditdb(
        "export", str(tmp_path / "3"), "--url", database, "--since-last", str(state),
        "--format", "jsonl", "--action", "a",
    )  # fmt: skip
    assert ran.returncode == 1
    assert "set back" in ran.stderr
    assert "another state file" in ran.stderr
    assert state.read_bytes() == before
    assert not list((tmp_path / "3").iterdir())


@pytest.mark.parametrize(
    "another",
    [
        "id = id",  # restored: the very row
        "tx = tx + 1",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "changes = jsonb_set(changes, '{sha256,new}', to_jsonb(repeat('0', 64)))",
        "changes = jsonb_set(changes, '{rows,new}', '7')",
        "actor_id = 'other'",
        "context = '{}'",
    ],
)
def test_another_export_of_the_same_id_does_not_stand_for_it(
    database: str, connect: Connect, tmp_path: Path, another: str
) -> None:
    """After a set-back, its rows with lower transactions would be in no increment."""
    state = tmp_path / "state"
    owner = connect(autocommit=True)
    insert(owner)
    assert len(two(database, tmp_path / "1", state)) == 1
    owner.execute("alter table audit.log disable trigger refuse_change")
    owner.execute(f"update audit.log set {another} where action = 'log_exported'".encode())
    owner.execute("alter table audit.log enable always trigger refuse_change")
    new = insert(owner)
    if another == "id = id":
        assert two(database, tmp_path / "2", state) == [new]
        return
    before = state.read_bytes()
    ran = auditdb(
        "export", str(tmp_path / "2"), "--url", database, "--since-last", str(state),
        "--format", "jsonl", "--action", "a",
    )  # fmt: skip
    assert (ran.returncode, "set back" in ran.stderr) == (1, True)
    assert state.read_bytes() == before


def test_a_server_that_was_set_back_is_refused(database: str, connect: Connect) -> None:
    owner = connect(autocommit=True)
    mark = take(owner)
    ahead = watermark.Watermark(mark.watermark.next_tx + 10**6, (), 1, mark.watermark.log)
    with pytest.raises(WatermarkRefused, match="set back"):
        watermark.check_order(ahead, mark)
    watermark.check_witness(owner, mark.watermark)
    with pytest.raises(WatermarkRefused, match="set back"):
        watermark.check_order(watermark.Watermark(1, (), 2, mark.watermark.log), mark)
    with pytest.raises(WatermarkRefused, match="not as far"):
        watermark.check_unchanged(ahead, mark)


def test_with_very_much_pending_it_waits_for_the_oldest(
    database: str, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = connect(), connect(autocommit=True)
    late, early = insert(slow), insert(quick)
    state = tmp_path / "state"
    assert two(database, tmp_path / "1", state) == [early]
    monkeypatch.setattr(watermark, "MOST_PENDING", 0)
    assert two(database, tmp_path / "2", state) == []
    slow.commit()
    assert two(database, tmp_path / "3", state) == [late]


def test_after_a_new_era_rows_are_of_it(connect: Connect) -> None:
    owner, other = connect(autocommit=True), connect(autocommit=True)
    query = "select era from audit.log where id = %s"
    assert value(owner, query, insert(other)[1]) == 1
    assert value(owner, "select audit.begin_era()") == 2
    assert value(owner, query, insert(other)[1]) == 2
    assert take(owner).eras[-1].number == 2


def test_what_is_no_watermark_is_refused() -> None:
    good = {"next_tx": 5, "pending": [3], "era": 1, "log": "x"}
    assert watermark.from_json(good).as_json() == good
    seen = {"id": 7, "tx": 5, "occurred_at": "2026-01-31T12:00:00.000000Z", "sha256": "a" * 64}
    assert watermark.from_json(good | {"witness": seen}).as_json() == good | {"witness": seen}
    bads: list[object] = [
        None,
        [],
        {},
        good | {"next_tx": "5"},
        good | {"pending": [-1]},
        good | {"log": 1},
        good | {"witness": "7"},
        good | {"witness": 7},
        good | {"witness": seen | {"id": "7"}},
        good | {"witness": seen | {"tx": None}},
        good | {"witness": seen | {"occurred_at": "yesterday"}},
        good | {"witness": seen | {"sha256": "a"}},
        good | {"witness": {"id": 7}},
    ]
    for bad in bads:
        with pytest.raises(WatermarkRefused):
            watermark.from_json(bad)


def test_of_a_link_the_state_file_that_it_leads_to_is_replaced(
    database: str, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    real, link, chain = tmp_path / "real/state", tmp_path / "links/state", tmp_path / "chain"
    link.symlink_to("../real/state")
    chain.symlink_to(link)
    add(database, item_id="first")
    only = ("--action", "license_updated", "--format", "jsonl")
    for number, (state, expected) in enumerate(((chain, 1), (link, 1), (real, 0))):
        export(database, tmp_path / str(number), *only, "--since-last", str(state))
        assert len(keys(tmp_path / str(number))) == expected
        assert link.is_symlink()
        assert chain.is_symlink()
        assert json.loads(real.read_text())["format"] == 1
        assert [p.name for p in (tmp_path / "links").iterdir()] == ["state"]
        if number == 0:
            add(database, item_id="second")


def test_a_link_into_the_directory_of_the_export_is_refused(database: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    link = tmp_path / "state"
    link.symlink_to(tmp_path / "out/state")
    ran = auditdb("export", str(tmp_path / "out"), "--url", database, "--since-last", str(link))
    assert ran.returncode == 2
    assert "which holds the export alone" in ran.stderr
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    ran = auditdb("export", str(tmp_path / "new"), "--url", database, "--since-last", str(loop))
    assert ran.returncode == 1
    assert "loop" in ran.stderr
