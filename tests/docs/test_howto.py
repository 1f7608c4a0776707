"""docs/howto.md: each question is asked of a small history, and the answer shown is the answer."""

import re
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.conftest import Connect, CreateRole
from tests.docs.test_docs import Example, examples, run_sql
from tests.support import ROOT
from tests.support.helpers import platform
from tests.support.servers import Server

HOWTO: Path = ROOT / "docs" / "howto.md"
QUESTIONS = examples(HOWTO.read_text("utf-8"))

ADMIN = ("platform_user", "1", "admin@x.example")
COLLEAGUE = ("platform_user", "2", "colleague@x.example")
SHOP = ("integration", "shop", "Web shop")
NIGHTLY = ("system", "nightly", "Nightly job")
KEY = ("api_key", "9", "Clean-up")


@dataclass(frozen=True, slots=True)
class Step:
    """What somebody did at some time, in one transaction."""

    time: str
    actor: tuple[str, str, str]
    statements: str
    context: dict[str, str] | None = None


HISTORY = (
    Step("2026-02-10 10:00+00", ADMIN, "update licensing.licenses set max_activations = 10"),
    Step("2026-03-02 23:30+00", COLLEAGUE, "update licensing.devices set is_blacklisted = true"),
    Step("2026-03-03 08:00+00", COLLEAGUE, "update licensing.devices set is_blacklisted = false"),
    Step("2026-04-07 09:15+00", ADMIN, "update licensing.licenses set max_activations = 20"),
    Step("2026-05-03 22:30+00", SHOP, "update licensing.licenses set reset_at = '2026-05-04'"),
    Step("2026-05-20 12:00+00", SHOP, "update licensing.devices set reset_at = '2026-05-20'"),
    Step("2026-06-11 12:00+00", SHOP, "update licensing.licenses set reset_at = '2026-06-11'"),
    Step(
        "2026-06-15 16:45+00",
        ADMIN,
        "update licensing.licenses set is_enabled = false",
        {"ip": "192.0.2.7", "request_id": "req-41"},
    ),
    Step("2026-06-16 07:00+00", COLLEAGUE, "update licensing.licenses set is_enabled = true"),
    Step(
        "2026-06-20 09:00+00",
        ADMIN,
        "update licensing.memberships set is_admin = true, permissions = '{}'"
        " where platform_user_id = 2",
    ),
    Step(
        "2026-06-21 09:00+00",
        ADMIN,
        "insert into licensing.user_permission_template_permissions"
        " (template_id, resource, level) values (1, 'licenses', 'manage')",
    ),
    Step(
        "2026-06-25 14:00+00",
        SHOP,
        "insert into licensing.orders (account_id, customer_id, reference) values (1, 1, 'PO-2');"
        "insert into licensing.licenses (account_id, product_id, order_id, license_key)"
        " values (1, 1, 2, 'KEY-2222'), (1, 1, 2, 'KEY-3333')",
    ),
    Step(
        "2026-07-01 03:00+00",
        NIGHTLY,
        "update licensing.licenses set is_enabled = false",
        {"request_id": "req-77"},
    ),
    Step(
        "2026-08-12 11:00+00",
        KEY,
        "delete from licensing.orders; delete from licensing.customers",
        {"ip": "198.51.100.3"},
    ),
)


@pytest.fixture
def history(connect: Connect) -> psycopg.Connection:
    """A session on a database in which the platform has had the history above."""
    conn = connect()
    # The log's clock is the server's: here it says what the test wants, so that answers have times.
    conn.execute(
        "alter table audit.log alter occurred_at"
        " set default current_setting('test.clock')::timestamptz"
    )
    conn.commit()
    for step in (None, *HISTORY):
        actor = ADMIN if step is None else step.actor
        time = "2026-01-05 09:00+00" if step is None else step.time
        conn.execute("select set_config('test.clock', %s, true)", [time])
        conn.execute(
            "select audit.set_actor(%s, %s, %s, %s)",
            [*actor, Jsonb(step.context) if step and step.context else None],
        )
        if step is None:
            platform(conn)
        else:
            conn.execute(step.statements.encode())
        conn.commit()
    return conn


def ask(
    server: Server, history: psycopg.Connection, question: Example, user: str | None = None
) -> str:
    code = f"set timezone = 'UTC'; set audit.account_id = '1';\n{question.code}"
    url = server.url(history.info.dbname, user)
    output = run_sql(server, url, Example(question.line, "sql", code, question.shown))
    return "\n".join(line.rstrip() for line in output.rstrip("\n").splitlines())


def test_the_answers_are_the_ones_shown(server: Server, history: psycopg.Connection) -> None:
    for question in QUESTIONS:
        assert question.language == "sql"
        assert question.shown is not None
        assert ask(server, history, question) == question.shown.rstrip("\n"), question.line


def test_a_reader_of_the_account_gets_the_same_answers(
    server: Server, history: psycopg.Connection, create_role: CreateRole
) -> None:
    role = create_role()
    history.execute(f"grant audit_reader to {role}".encode())
    history.execute("select set_config('test.clock', '2026-07-01 03:00+00', true)")
    platform(history, "y.example")
    history.commit()
    for question in QUESTIONS:
        assert question.shown is not None
        assert ask(server, history, question, role) == question.shown.rstrip("\n"), question.line


def test_there_are_ten_questions_each_asked_in_one_statement() -> None:
    titles = re.findall(r"^## (.+\?)$", HOWTO.read_text("utf-8"), flags=re.MULTILINE)
    assert len(titles) == 10
    for question in QUESTIONS:
        assert question.code.count(";") == 1, question.line


def under(conn: psycopg.Connection, item_type: str, item_id: str, account: str | None) -> set[str]:
    rows = conn.execute(
        "select item_type || ':' || item_id from audit.tree_log(%s, %s, %s)",
        [item_type, item_id, account],
    )
    return {item for (item,) in rows}


def test_what_moved_is_under_both(connect: Connect) -> None:
    conn = connect()
    p, other = platform(conn), platform(conn, "y.example")
    conn.execute("update licensing.devices set is_blacklisted = true")
    conn.execute(
        "insert into licensing.customers (account_id, email) values (%s, 'new@x.example')",
        [p.account],
    )
    newest = conn.execute("select max(id)::text from licensing.customers").fetchone()
    assert newest is not None
    conn.execute("update licensing.orders set customer_id = %s where id = %s", [newest[0], p.order])
    conn.execute("delete from licensing.orders where id = %s", [p.order])
    whole = {f"order:{p.order}", f"license:{p.license}", f"device:{p.device}"}
    account = str(p.account)
    assert under(conn, "customer", newest[0], account) == whole | {f"customer:{newest[0]}"}
    assert under(conn, "customer", str(p.customer), None) == whole | {f"customer:{p.customer}"}
    assert under(conn, "license", str(p.license), account) == whole - {f"order:{p.order}"}
    assert under(conn, "customer", str(other.customer), account) == set()
    theirs = under(conn, "product", str(other.product), str(other.account))
    assert theirs == {
        f"product:{other.product}",
        f"license:{other.license}",
        f"device:{other.device}",
    }


def test_what_was_there_before_the_log_is_found_by_its_end(connect: Connect) -> None:
    conn = connect()
    p = platform(conn)
    conn.execute("alter table licensing.orders disable trigger _audit_insert")
    conn.execute(
        "insert into licensing.orders (account_id, customer_id) values (%s, %s)",
        [p.account, p.customer],
    )
    conn.execute("delete from licensing.orders where id = %s + 1", [p.order])
    assert f"order:{p.order + 1}" in under(conn, "customer", str(p.customer), str(p.account))
