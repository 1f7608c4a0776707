"""Pages of the log: nothing twice, nothing missed, and only the months that they need."""

import itertools
import re
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

import auditdb
from auditdb import Event, InvalidCursor
from auditdb._connection.runner import Query, _for_psycopg
from auditdb._query import filters, months, page_cursor, statements
from auditdb._upkeep import migrate
from tests.conftest import _new_database
from tests.support.effort import sized
from tests.support.helpers import value
from tests.support.servers import Server

YEARS = 10
NOW = datetime.now(UTC).replace(microsecond=0)
THIS_MONTH = NOW.replace(day=1, hour=0, minute=0, second=0)
MICROSECOND = timedelta(microseconds=1)


def month(back: int) -> datetime:
    """Return the first of the month that is so many before this one."""
    number = THIS_MONTH.year * 12 + THIS_MONTH.month - 1 - back
    return THIS_MONTH.replace(year=number // 12, month=number % 12 + 1)


def add_years(conn: psycopg.Connection) -> None:
    """Give the log the partitions of ten years of months."""
    oldest = YEARS * 12
    conn.execute("alter table audit.log detach partition audit.log_past")
    for back in range(oldest, 0, -1):
        first, end = month(back), month(back - 1)
        conn.execute(
            "select audit.add_partition(%s, %s, %s)",
            (f"log_{first:%Y_%m}", first.isoformat(), end.isoformat()),
        )
    conn.execute(
        "alter table audit.log attach partition audit.log_past for values from (minvalue)"
        f" to ('{month(oldest).isoformat()}')".encode()
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A row to put into the log."""

    moment: datetime
    account: str = "1"
    action: str = "a"
    item: tuple[str, str] = ("t", "1")
    parent: tuple[str | None, str | None] = (None, None)
    actor: tuple[str, str] = ("user", "1")


NUMBERS = itertools.count(1)


def insert(conn: psycopg.Connection, rows: Sequence[Row]) -> list[int]:
    """Put rows into the log as they are, as only a superuser can; return their ids."""
    numbers = list(itertools.islice(NUMBERS, len(rows)))
    with conn.cursor() as inserting:
        inserting.executemany(
            "insert into audit.log (id, occurred_at, account_id, action, item_type, item_id,"
            " parent_type, parent_id, actor_type, actor_id, db_role)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'x')",
            [
                (number, r.moment, r.account, r.action, *r.item, *r.parent, *r.actor)
                for number, r in zip(numbers, rows, strict=True)
            ],
        )
    return numbers


def pages(conn: psycopg.Connection, **named: Any) -> Iterator[tuple[Event, ...]]:
    cursor: str | None = None
    while True:
        page = auditdb.events(conn, cursor=cursor, **named)
        assert page.next_cursor is None or page.next_cursor != cursor
        yield page.events
        cursor = page.next_cursor
        if cursor is None:
            return


def ids(conn: psycopg.Connection, **named: Any) -> list[int]:
    return [event.id for page in pages(conn, **named) for event in page]


# -- all of it, in order -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def aged_url(server: Server) -> Iterator[str]:
    """The URL of a database whose log is empty and has partitions for ten years."""
    with _new_database(server) as name:
        url = server.url(name)
        migrate.upgrade(url, "audit@head")
        with psycopg.connect(url) as session:
            add_years(session)
        yield url


@pytest.fixture
def aged(aged_url: str) -> Iterator[psycopg.Connection]:
    """A session on that database, whose transaction is rolled back."""
    with closing(psycopg.connect(aged_url)) as session:
        yield session


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """Draw a time: at a border of months or between, also before and after all partitions."""
    back = draw(st.one_of(st.integers(-3, 8), st.integers(-40, YEARS * 12 + 12)))
    offset = draw(
        st.sampled_from([timedelta(0), -MICROSECOND, MICROSECOND, timedelta(days=9, hours=5)])
    )
    return month(back) + offset


KINDS = st.tuples(st.sampled_from("tu"), st.sampled_from("12"))
ROWS = st.builds(
    Row,
    moment=moments(),
    account=st.sampled_from("12"),
    action=st.sampled_from("ab"),
    item=KINDS,
    parent=st.one_of(st.just((None, None)), KINDS),
    actor=st.tuples(st.sampled_from(["user", "key"]), st.sampled_from("12")),
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "account_id": st.sampled_from("12"),
        "action": st.one_of(st.sampled_from("ab"), st.lists(st.sampled_from("ab"))),
        "item": KINDS,
        "include_parts": st.booleans(),
        "actor": st.one_of(
            st.just("user"), st.tuples(st.just("key"), st.sampled_from(["1", None]))
        ),
        "since": moments(),
        "until": moments(),
    },
)


def fits(row: Row, named: dict[str, Any]) -> bool:
    """Return whether a row is one of those that a filter asks for, by Python's own lights."""
    wanted = named.get("item")
    of_item = wanted is None or row.item == wanted
    of_part = named.get("include_parts", True) and row.parent == wanted
    actions = named.get("action", row.action)
    actor = named.get("actor", row.actor)
    kind, number = (actor, None) if isinstance(actor, str) else actor
    return (
        (of_item or of_part)
        and row.action in actions
        and row.account == named.get("account_id", row.account)
        and row.actor[0] == kind
        and number in (None, row.actor[1])
        and row.moment >= named.get("since", row.moment)
        and row.moment < named.get("until", row.moment + MICROSECOND)
    )


@settings(max_examples=sized(40, 300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, max_size=40), named=FILTERS, limit=st.integers(1, 12))
def test_the_pages_are_the_whole_list(
    aged: psycopg.Connection, rows: list[Row], named: dict[str, Any], limit: int
) -> None:
    aged.rollback()
    numbers = insert(aged, rows)
    fitting = [(r.moment, n) for n, r in zip(numbers, rows, strict=True) if fits(r, named)]
    expected = [number for _, number in sorted(fitting, reverse=True)]
    found = list(pages(aged, limit=limit, **named))
    assert [event.id for page in found for event in page] == expected
    assert {len(page) for page in found[:-1]} <= {limit}
    assert len(found[-1]) <= limit
    if "item" in named:
        wanted = {name: value for name, value in named.items() if name not in ("action", "actor")}
        if wanted == named:
            history = auditdb.item_history(aged, wanted.pop("item"), **wanted)
            assert [event.id for event in history] == expected[::-1]
    counted = auditdb.counts(aged, by="account", **named)
    assert sum(c.count for c in counted) == len(expected)


def test_a_page_ends_where_nothing_is_left(aged: psycopg.Connection) -> None:
    insert(aged, [Row(NOW)] * 4)
    assert [len(page) for page in pages(aged, limit=2)] == [2, 2]
    assert [len(page) for page in pages(aged, limit=3)] == [3, 1]
    assert [len(page) for page in pages(aged, limit=4)] == [4]
    assert [len(page) for page in pages(aged, account_id="nobody")] == [0]


# -- while others write ------------------------------------------------------------------------


def test_paging_is_steady_while_others_write(aged_url: str) -> None:
    accounts = [f"steady-{number}" for number in range(3)]
    old = [
        Row(month(back) + timedelta(days=n), a)
        for back in range(5)
        for n in range(20)
        for a in accounts
    ]
    with closing(psycopg.connect(aged_url)) as setting_up:
        insert(setting_up, [row for row in old if row.moment < NOW])
        setting_up.commit()
    is_over = threading.Event()
    written = threading.Barrier(len(accounts) + 1)

    def write(account: str) -> int:
        """Write new rows and late ones, at times that were read already and that were not yet."""
        count = 0
        with psycopg.connect(aged_url, autocommit=True) as writer:
            while not is_over.is_set() and count < 300:
                at = [datetime.now(UTC), month(count % 5) + timedelta(days=3, seconds=count)]
                insert(writer, [Row(moment, account, "late") for moment in at])
                count += 1
                if count == 1:
                    written.wait()
        return count

    def read(account: str) -> list[int]:
        with psycopg.connect(aged_url, autocommit=True) as reader:
            there = ids(reader, account_id=account, limit=500)
            found: list[Event] = []
            for page in pages(reader, account_id=account, limit=15):
                found += page
        assert len({event.id for event in found}) == len(found)
        places = [(event.occurred_at, event.id) for event in found]
        assert places == sorted(places, reverse=True)
        assert {event.account_id for event in found} == {account}
        kept = {event.id for event in found}
        assert kept >= set(there)
        return [event.id for event in found if event.action == "a"]

    with ThreadPoolExecutor(len(accounts)) as writers, closing(psycopg.connect(aged_url)) as conn:
        working = [writers.submit(write, account) for account in accounts]
        try:
            written.wait()
            for account in accounts:
                assert read(account) == ids(conn, account_id=account, action="a", limit=500)
        finally:
            is_over.set()
        assert all(work.result() > 1 for work in working)


# -- cursors -----------------------------------------------------------------------------------

POSITIONS = st.builds(
    page_cursor.Position,
    st.integers(-210_866_803_200_000_000, 9_224_318_015_999_999_999),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
)


@given(POSITIONS)
def test_a_cursor_is_safe_in_urls_and_reads_as_it_was_written(
    position: page_cursor.Position,
) -> None:
    written = page_cursor.write_cursor(position)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", written)
    assert page_cursor.read_cursor(written) == position


@settings(max_examples=sized(80, 500), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moment=st.integers(-210_866_803_200_000_000, 9_223_371_331_199_999_999))
def test_a_time_of_any_year_is_written_as_postgresql_reads_it(
    connection: psycopg.Connection, moment: int
) -> None:
    back = "select (extract(epoch from %s::timestamptz) * 1000000)::numeric(30)::text"
    assert int(value(connection, back, page_cursor.to_text(moment))) == moment


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "x",
        "garbage!",
        "ünï",
        encoded("1 2 3"),
        encoded("1"),
        encoded("01 2"),
        encoded("1 -0"),
        encoded("1.5 2"),
        encoded("٣ 2"),
        encoded("9224318016000000000 1"),
        encoded("-210866803200000001 1"),
        encoded(f"1 {2**63}"),
        encoded("1 2") + "=",
        encoded("1 2") + "\n",
        encoded("1 2") + "!",
        encoded("2025-01-01T00:00:00+00:00 7"),
    ],
)
def test_a_malformed_cursor_is_refused(connection: psycopg.Connection, malformed: str) -> None:
    with pytest.raises(InvalidCursor):
        auditdb.events(connection, cursor=malformed)


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)))
def test_no_other_text_is_a_cursor(text: str) -> None:
    try:
        position = page_cursor.read_cursor(text)
    except InvalidCursor:
        return
    assert page_cursor.write_cursor(position) == text


# -- few partitions ----------------------------------------------------------------------------


def first_pages(named: dict[str, Any], limit: int) -> list[Query]:
    """Return the queries of a first page as long as they find nothing."""
    wanted = filters.filtered(**named)
    return [
        statements.page_query("id", wanted, window, limit, None)
        for window in months.windows(wanted, months.newest(wanted, None), None, (), limit)
    ]


def partitions_of(conn: psycopg.Connection, query: Query) -> set[str]:
    """Return the partitions in the plan that the query really gets."""
    plan = conn.execute(b"explain (analyze) " + _for_psycopg(query.sent), query.values)
    return set(re.findall(r" on (log_\w+)", str(plan.fetchall())))


def old_ones(names: set[str]) -> set[str]:
    """Return those of the partitions that are not ahead of this month."""
    return {name for name in names if name <= f"log_{THIS_MONTH:%Y_%m}" or name == "log_past"}


def test_the_newest_page_plans_for_three_months(aged: psycopg.Connection) -> None:
    insert(aged, [Row(month(back)) for back in range(YEARS * 12)])
    for named in ({"account_id": "1"}, {"account_id": "1", "item": ("t", "1")}):
        steps = [old_ones(partitions_of(aged, query)) for query in first_pages(named, 2)]
        assert [len(step) for step in steps] == [3, 9, 48, YEARS * 12 + 2 - 60]
        assert not steps[0] & steps[1]
        assert steps[0] == {f"log_{month(back):%Y_%m}" for back in range(3)}


def test_a_page_locks_few_partitions(aged_url: str) -> None:
    with closing(psycopg.connect(aged_url, autocommit=True)) as conn:
        conn.execute("vacuum audit.log")  # what other tests rolled back still takes room
    with closing(psycopg.connect(aged_url)) as conn:
        insert(
            conn,
            [Row(month(back) + n * MICROSECOND, "locks") for back in range(24) for n in range(4)],
        )
        conn.commit()
        page = auditdb.events(conn, account_id="locks", limit=4)
        assert len(page.events) == 4
        assert locked(conn) == {f"log_{month(back):%Y_%m}" for back in range(3)}
        assert len(locked(conn, is_future=True)) == 0
        assert value(conn, "select count(*) from pg_locks where pid = pg_backend_pid()") < 50
        conn.rollback()
        # From a cursor, or until a time, the months of the future are left out as well.
        auditdb.events(conn, account_id="locks", limit=4, cursor=page.next_cursor)
        assert locked(conn) == {f"log_{month(back):%Y_%m}" for back in range(3)}
        assert len(locked(conn, is_future=True)) == 0
        conn.rollback()
        auditdb.events(conn, account_id="locks", limit=4, until=month(20), since=month(22))
        assert locked(conn) == {f"log_{month(back):%Y_%m}" for back in (21, 22)}
        conn.rollback()
        auditdb.transaction_events(conn, 1, until=month(20), since=month(22))
        assert locked(conn) == {f"log_{month(back):%Y_%m}" for back in (21, 22)}
        conn.rollback()
        assert len(auditdb.events(conn, account_id="locks", limit=96).events) == 96
        assert len(locked(conn)) == YEARS * 12 + 2


def locked(conn: psycopg.Connection, *, is_future: bool = False) -> set[str]:
    """Return the partitions that the transaction holds a lock on, up to this month or after."""
    names = conn.execute(
        "select c.relname::text from pg_locks as l join pg_class as c on c.oid = l.relation"
        " where l.pid = pg_backend_pid() and c.relispartition and c.relkind = 'r'"
    ).fetchall()
    found = {name for (name,) in names}
    return found - old_ones(found) if is_future else old_ones(found)


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_a_prepared_statement_leaves_out_other_months_too(
    aged: psycopg.Connection, mode: str
) -> None:
    query = first_pages({"account_id": "1", "until": NOW}, 2)[0]
    aged.execute(sql.SQL("set local plan_cache_mode = {}").format(sql.Identifier(mode)))
    plan = aged.execute(b"explain " + _for_psycopg(query.sent), query.values, prepare=True)
    found = set(re.findall(r" on (log_\w+)", str(plan.fetchall())))
    assert found == {f"log_{month(back):%Y_%m}" for back in range(3)}


def test_item_and_parts_are_found_by_their_indexes(aged: psycopg.Connection) -> None:
    aged.execute(
        "set local enable_seqscan = off; set local enable_bitmapscan = off;"
        "set local enable_sort = off"
    )
    query = first_pages({"account_id": "1", "item": ("t", "1"), "until": NOW}, 2)[0]
    plan = aged.execute(b"explain " + _for_psycopg(query.sent), query.values)
    text = str(plan.fetchall())
    assert text.count("item_id_item_type_account_id") == 3
    assert text.count("parent_id_parent_type_account_id") == 3
