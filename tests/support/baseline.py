"""Writers beside a baseline, and what the log must come to: old values are what it told before."""

import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, LiteralString

import psycopg

TABLE = "create table public.note (id int primary key, uid int not null, v int not null, body text)"
FILL = "insert into public.note select n, n, 0, 'body ' || n from generate_series(1, {}) as n"
MOVED = 1_000_000
"""What is added to a key where a row gets another one, and taken off again."""

_STATEMENTS: tuple[tuple[int, LiteralString], ...] = (
    (60, "update public.note set v = v + 1, body = body || '+' where uid = %s"),
    (10, "update public.note set v = v + 1 where uid >= %s and uid < %s + 5"),
    (5, "delete from public.note where uid = %s"),
    (1, "update public.note set v = v + 1, id = (id + 1000000) % 2000000 where uid = %s"),
    (10, "select from public.note where uid = %s for update"),
    (5, "select from public.note where uid = %s for key share"),
)


class Writers:
    """Sessions that change rows, each in the order of their numbers: none waits for another round.

    A deadlock is then one with somebody who locks in another order, and makes the test fail.
    """

    def __init__(self, database: str, rows: int, count: int, seed: int) -> None:
        self._database = database
        self._rows = rows
        self._stop = threading.Event()
        self.failures: list[BaseException] = []
        self.written = 0
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(seed * 100 + number)))
            for number in range(count)
        ]

    @contextmanager
    def writing(self) -> Iterator["Writers"]:
        """Write until the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        if self.failures:
            raise self.failures[0]

    def _run(self, number: int, chance: random.Random) -> None:
        try:
            with closing(psycopg.connect(self._database)) as session:
                fresh = (number + 1) * 10_000_000
                while not self._stop.is_set():
                    fresh = self._transaction(session, chance, fresh)
        except BaseException as failure:
            self.failures.append(failure)
            raise

    def _transaction(self, session: psycopg.Connection, chance: random.Random, fresh: int) -> int:
        for uid in sorted(chance.choices(range(1, self._rows + 1), k=chance.randint(1, 4))):
            weights, statements = zip(*_STATEMENTS, strict=True)
            (statement,) = chance.choices(statements, weights)
            session.execute(statement.replace(" % ", " %% "), [uid] * statement.count("%s"))
        if chance.random() < 0.2:
            fresh += 1
            session.execute("insert into public.note values (%s, %s, 0, 'new')", [fresh, fresh])
        if chance.random() < 0.15:
            session.rollback()
        else:
            session.commit()
            self.written += 1
        return fresh


def faults(session: psycopg.Connection) -> list[str]:
    """Return where the log of the table does not join on: gaps, overlaps, wrong ends."""
    found: list[str] = []
    known: dict[str, dict[str, Any]] = {}
    moved: set[str] = set()
    query = """
        select action, item_id, changes, key from audit.events
        where table_name = 'public.note' order by occurred_at, id, tx"""
    for action, item, changes, key in session.execute(query).fetchall():
        at = f"{action} of {item} ({key})"
        if action in ("note_created", "note_baseline"):
            told = {name: change["new"] for name, change in changes.items()}
            # What is known of a row by its former key is told by the one that it has now.
            if item in known and not (item in moved and known[item] == told):
                found.append(f"{at}: told twice")
            moved.discard(item)
            known[item] = told
            continue
        was = str(changes["id"]["old"]) if "id" in changes else item
        state = known.pop(was, None)
        if state is None:
            continue
        found += [
            f"{at}: {name} was {state[name]!r}, not {change['old']!r}"
            for name, change in changes.items()
            if state[name] != change["old"]
        ]
        if was != item or action == "note_deleted":
            moved.discard(was)
        if action == "note_updated":
            if was != item:
                moved.add(item)
            known[item] = state | {name: change["new"] for name, change in changes.items()}
    rows = session.execute("select to_jsonb(n) from public.note as n").fetchall()
    there = {str(row["id"]): row for (row,) in rows}
    found += [
        f"{item}: {known.get(item)} in the log" for item in there if known.get(item) != there[item]
    ]
    found += [f"{item}: in the log alone" for item in known.keys() - there.keys()]
    return found
