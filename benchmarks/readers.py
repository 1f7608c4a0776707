"""Measures what readers wait for: pages, histories, counts and searches on a log of ten years."""

from __future__ import annotations

import inspect
import statistics
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import auditdb
from auditdb._connection.runner import Query, _for_psycopg
from benchmarks import cold, filling
from benchmarks.result import Result

if TYPE_CHECKING:
    import psycopg

    from tests.support.servers import Server

SIZES = (1_000_000, 10_000_000)
FULL = (1_000_000, 10_000_000, 100_000_000)
REPEATS = 5
"""How often a warm question is asked; the times are the medians."""
SLOW = 1000.0
"""Milliseconds from which on a question is asked once only."""

Asking: TypeAlias = Generator[Query, Sequence[Sequence[Any]], Any]
"""Yields queries, is sent the rows of each, and returns the answer, as the helpers do."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account to ask about, and what there is in it."""

    name: str
    id: str
    cursor: str | None
    """Where its first page ends, if there is another one."""
    license: str
    """A license that was created in the last years."""
    silent_license: str
    """A license that nothing happened to for five years."""
    customer: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something that readers ask."""

    name: str
    ask: Callable[[Account], Asking]
    is_tenant: bool = False
    """Whether it is asked by a role under row security."""
    is_cold: bool = False
    """Whether it is asked of a server that has just started too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What it took to answer a question; a page may take several statements."""

    planning: float
    """Milliseconds of all statements, as the two below."""
    execution: float
    hit: int
    """Pages that were in the server's memory."""
    read: int
    """Pages that were not."""
    locks: int
    """Tables and indexes that the transaction had locked in the end."""
    rows: int
    """Events, changes or counts in the answer."""


def measure(
    server: Server,
    *,
    full: bool,
    progress: Callable[[str], None],
    sizes: Sequence[int] | None = None,
) -> list[Result]:
    """Ask questions of logs of growing size, warm, and some of the middle account cold too.

    Other versions than the newest are measured on the smallest log only, unless `full`.
    """
    if sizes is None:
        sizes = FULL if full else SIZES if server.version >= 18 else SIZES[:1]
    results: list[Result] = []
    growing: dict[tuple[str, str], list[float]] = {}
    evicted = 0.0
    for rows in sizes:
        url = filling.filled(server, rows, progress)
        for account in _accounts(url):
            for question in QUESTIONS:
                case = f"{question.name}, {account.name} account"
                progress(f"readers, {size(rows)}: {case}")
                answer = _warm(url, question, account)
                growing.setdefault((case, "execution"), []).append(answer.execution)
                growing.setdefault((case, "buffers"), []).append(answer.hit + answer.read)
                results += _results(server, case, rows, answer)
                if question.is_cold and account.name == "middle" and cold.can_restart(server):
                    evicted = cold.restart(server, evicted)
                    with closing(filling.connect(url)) as connection:
                        answer = answered(connection, question, account)
                    results += _results(server, case, rows, answer, "cold ")
    if len(sizes) > 1:
        growth = f"{size(sizes[-1])} / {size(sizes[0])}"
        results += [
            Result(
                "readers",
                server.version,
                case,
                growth,
                f"growth of {metric}",
                found[-1] / max(found[0], 0.001),
                "times",
            )
            for (case, metric), found in growing.items()
        ]
    return results


def size(rows: int) -> str:
    """Return how many rows a log has, in words: 10 million rows.

    >>> size(10_000_000), size(2000)
    ('10 million rows', '2,000 rows')
    """
    millions, rest = divmod(rows, 1_000_000)
    return f"{rows:,} rows" if rest else f"{millions} million rows"


def answered(connection: psycopg.Connection[Any], question: Question, account: Account) -> Answer:
    """Ask a question in a transaction of its own, every statement under EXPLAIN ANALYZE."""
    planning, execution, hit, read = 0.0, 0.0, 0, 0
    with connection.transaction():
        if question.is_tenant:
            connection.execute("set local role audit_reader")
            connection.execute("select set_config('audit.account_id', %s, true)", [account.id])
        asking = question.ask(account)
        try:
            query = next(asking)
            while True:
                text = _for_psycopg(query.sent)
                # What it costs to tell the time is more than what some plans cost.
                explained = connection.execute(
                    b"explain (analyze, buffers, timing off, format json) " + text,
                    query.values,
                    prepare=False,
                ).fetchone()
                found = explained[0][0] if explained else {}
                planning += found["Planning Time"]
                execution += found["Execution Time"]
                hit += found["Plan"]["Shared Hit Blocks"]
                read += found["Plan"]["Shared Read Blocks"]
                if found["Execution Time"] > SLOW:
                    # Long enough to have done it once: the last statement tells how many rows.
                    answer = range(int(found["Plan"]["Actual Rows"]))
                    asking.close()
                    break
                rows = connection.execute(text, query.values, prepare=False).fetchall()
                query = asking.send(rows)
        except StopIteration as done:
            answer = done.value
        locks = connection.execute(
            "select count(*) from pg_locks where pid = pg_backend_pid()"
            " and locktype = 'relation' and relation <> 'pg_locks'::regclass"
        ).fetchone()
    return Answer(planning, execution, hit, read, locks[0] if locks else 0, _size_of(answer))


def _warm(url: str, question: Question, account: Account) -> Answer:
    """Ask a question until its times are those of a session that asks it all day."""
    with closing(filling.connect(url)) as connection:
        first = answered(connection, question, account)
        if first.planning + first.execution > SLOW:
            return first
        found = [answered(connection, question, account) for _ in range(REPEATS)]
    last = found[-1]
    return Answer(
        statistics.median(one.planning for one in found),
        statistics.median(one.execution for one in found),
        last.hit,
        last.read,
        last.locks,
        last.rows,
    )


def _results(
    server: Server, case: str, rows: int, answer: Answer, prefix: str = ""
) -> list[Result]:
    found = [
        ("planning", answer.planning, "ms"),
        ("execution", answer.execution, "ms"),
        ("buffers hit", answer.hit, "pages"),
        ("buffers read", answer.read, "pages"),
    ]
    if not prefix:
        found += [("locks", answer.locks, "locks"), ("rows", answer.rows, "rows")]
    return [
        Result("readers", server.version, case, size(rows), prefix + metric, value, unit)
        for metric, value, unit in found
    ]


def _size_of(answer: Any) -> int:
    if isinstance(answer, auditdb.Page):
        return len(answer.events)
    return len(answer) if isinstance(answer, tuple | list | range) else 1


# -- what is asked ------------------------------------------------------------------------------


def _helper(helper: Any, *given: Any, **named: Any) -> Asking:
    """Return the queries of one of auditdb's helpers, to be run here rather than by it."""
    asking: Asking = inspect.unwrap(helper)(*given, **named)
    return asking


def _sql(text: str, **values: str | int) -> Asking:
    """Ask in plain SQL; returns the rows."""
    rows = yield Query(text, values)
    return rows


def _ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


_NEWEST = """
select * from audit.events
where account_id = cast(:account_id as text)
order by occurred_at desc, id desc
limit 50
"""
_TENANT = "select * from audit.events order by occurred_at desc, id desc limit 50"
_TREE = "select * from audit.tree_log('customer', :customer, :account_id)"

QUESTIONS = (
    Question("newest page", lambda a: _helper(auditdb.events, account_id=a.id), is_cold=True),
    Question("second page", lambda a: _helper(auditdb.events, account_id=a.id, cursor=a.cursor)),
    Question("newest page in SQL", lambda a: _sql(_NEWEST, account_id=a.id)),
    Question("newest page under row security", lambda _: _sql(_TENANT), is_tenant=True),
    Question(
        "newest page of an item",
        lambda a: _helper(auditdb.events, account_id=a.id, item=("license", a.license)),
        is_cold=True,
    ),
    Question(
        "newest page of an item silent for five years",
        lambda a: _helper(auditdb.events, account_id=a.id, item=("license", a.silent_license)),
    ),
    Question(
        "newest page of an item with a long history",
        lambda a: _helper(auditdb.events, account_id=a.id, item=("product", a.id)),
    ),
    Question(
        "whole history of an item",
        lambda a: _helper(auditdb.item_history, ("license", a.license), account_id=a.id),
    ),
    Question(
        "history of a field",
        lambda a: _helper(
            auditdb.field_history, ("license", a.license), "max_activations", account_id=a.id
        ),
    ),
    Question(
        "value at a time",
        lambda a: _helper(
            auditdb.value_at,
            ("license", a.license),
            "max_activations",
            _ago(200),
            account_id=a.id,
        ),
        is_cold=True,
    ),
    Question(
        "count by day, 30 days",
        lambda a: _helper(auditdb.counts, by="day", account_id=a.id, since=_ago(30)),
        is_cold=True,
    ),
    Question(
        "count by action, a year",
        lambda a: _helper(auditdb.counts, by="action", account_id=a.id, since=_ago(365)),
    ),
    Question(
        "count by action, ten years",
        lambda a: _helper(auditdb.counts, by="action", account_id=a.id),
    ),
    Question(
        "newest page of an actor",
        lambda a: _helper(auditdb.events, account_id=a.id, actor=("platform_user", f"{a.id}-7")),
        is_cold=True,
    ),
    Question(
        "newest page of a rare actor",
        lambda a: _helper(
            auditdb.events, account_id=a.id, actor=("integration", f"billing-{a.id}")
        ),
    ),
    Question(
        "everything under a customer",
        lambda a: _sql(_TREE, customer=a.customer, account_id=a.id),
        is_cold=True,
    ),
)


# -- whom it is asked about ---------------------------------------------------------------------

_LICENSE = """
select l.item_id, l.changes -> 'customer_id' ->> 'new'
from audit.events as l
where l.account_id = %s and l.action = 'license_created' and l.occurred_at < %s
order by l.occurred_at desc, l.id desc
limit 1
"""


def _accounts(url: str) -> list[Account]:
    """Return a large, a middle and a small account; in a small log perhaps the one before it."""
    ranks = {"large": 1, "middle": filling.ACCOUNTS // 10, "small": filling.ACCOUNTS}
    with closing(filling.connect(url)) as connection:
        found = [
            next(filter(None, (_account(connection, name, n) for n in range(rank, 0, -1))), None)
            for name, rank in ranks.items()
        ]
    if None in found:
        raise LookupError("No account has licenses of six years ago: the log has too few rows.")
    return [account for account in found if account is not None]


def _account(connection: psycopg.Connection[Any], name: str, number: int) -> Account | None:
    """Return an account and what to ask about in it, None where it has too little."""
    account = str(number)
    recent = connection.execute(_LICENSE, [account, _ago(180)]).fetchone()
    silent = connection.execute(_LICENSE, [account, _ago(6 * 365)]).fetchone()
    if recent is None or silent is None:
        return None
    page = auditdb.events(connection, account_id=account)
    return Account(name, account, page.next_cursor, recent[0], silent[0], recent[1])
