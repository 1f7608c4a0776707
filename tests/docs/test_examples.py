"""The programs in examples/ run as they stand there."""

import asyncio
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import conninfo

from tests.support import ROOT
from tests.support.servers import Server

pytestmark = pytest.mark.once

EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))


@pytest.fixture
def invoices(server: Server, engine_database: str) -> str:
    """The URL of a database in which somebody ran examples/invoices.sql."""
    name = str(conninfo.conninfo_to_dict(engine_database)["dbname"])
    script = str(EXAMPLES / "invoices.sql")
    server.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", name, "-f", script)
    return engine_database


async def use(app: FastAPI) -> list[dict[str, str]]:
    """Create an invoice as Ana, pay it as Bob, and return its history."""
    ana, bob = {"X-User": "ana"}, {"X-User": "bob"}
    new = {"number": "R-17", "total": "99.90", "due": "2026-12-31"}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        created = await client.post("/invoices", params=new, headers=ana)
        assert (created.status_code, created.json()) == (201, {"id": 1})
        assert (await client.post("/invoices/1/paid", headers=bob)).status_code == 204
        assert (await client.post("/invoices/2/paid", headers=bob)).status_code == 404
        shown: list[dict[str, str]] = (await client.get("/invoices/1/history")).json()
        return shown


def test_the_application_names_who_sent_each_request(
    invoices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITDB_URL", invoices)
    app = runpy.run_path(str(EXAMPLES / "fastapi_app.py"))["app"]
    shown = asyncio.run(use(app))
    assert [(event["action"], event["by"]) for event in shown] == [
        ("invoice_paid", "bob"),
        ("invoice_created", "ana"),
    ]


def night(url: str, directory: Path) -> list[str]:
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / "nightly_job.py"), str(directory)],
        env=os.environ | {"AUDITDB_URL": url, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def exported(directory: Path) -> list[tuple[str, str, str]]:
    lines = (directory / "log.jsonl").read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [(event["action"], event["item_label"], event["actor_id"]) for event in events]


def test_the_job_names_itself_and_exports_what_is_new(invoices: str, tmp_path: Path) -> None:
    with psycopg.connect(invoices) as connection:
        connection.execute(
            "insert into invoice (number, total, due) values"
            " ('R-1', 10, '2026-01-31'), ('R-2', 20, '9999-12-31')"
        )
    marked, intact, _ = night(invoices, tmp_path / "first")
    assert marked == "1 marked: R-1"
    assert intact.endswith("are intact.")
    assert exported(tmp_path / "first")[-1] == ("invoice_overdue", "R-1", "nightly-job")
    with psycopg.connect(invoices) as connection:
        connection.execute("update invoice set due = '2026-02-28' where number = 'R-2'")
    assert night(invoices, tmp_path / "second")[0] == "1 marked: R-1, R-2"
    second = exported(tmp_path / "second")
    assert [action for action, *_ in second] == [
        "log_exported",
        "invoice_updated",
        "invoice_overdue",
    ]
    assert second[-1] == ("invoice_overdue", "R-2", "nightly-job")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_an_example_is_read_at_a_glance(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 80
