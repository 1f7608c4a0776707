"""Runs the command line for tests: in this process, as a program, in a terminal."""

import json
import os
import pty
import select
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from auditdb._cli.app import app
from tests.support import ROOT

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command."""

    returncode: int
    stdout: str
    stderr: str


def auditdb(*arguments: str, **variables: str) -> Ran:
    """Run the command line without a terminal, in this process."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"} | variables)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def environment(**variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "AUDITDB"))}
    return kept | {"COLUMNS": "120", "PYTHONPATH": str(ROOT)} | variables


def program(*arguments: str, **variables: str) -> Ran:
    """Run the command line as a program of its own, without a terminal."""
    ran = subprocess.run(
        [sys.executable, "-m", "auditdb", *arguments],
        capture_output=True,
        encoding="utf-8",
        env=environment(**variables),
        timeout=120,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def lines(ran: Ran) -> list[dict[str, Any]]:
    """Return the JSON Lines that a command printed, all of which must be complete."""
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "" or ran.stdout.endswith("\n")
    return [json.loads(line) for line in ran.stdout.split("\n")[:-1]]


def terminal(*arguments: str, columns: int = 120) -> tuple[int, str]:
    """Run the command line in a terminal; return the exit code and what it would have shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "auditdb", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=environment(TERM="xterm-256color", COLUMNS=str(columns)),
    )
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], 120)[0] and (read := os.read(ours, 65536)):
            shown += read
    except OSError:  # how Linux says that the other side has closed
        pass
    finally:
        os.close(ours)
    return process.wait(timeout=120), shown.decode()


def add(url: str, **columns: Any) -> None:
    """Write one row of the log, as if a trigger had."""
    row = {
        "occurred_at": START,
        "account_id": "1",
        "action": "license_updated",
        "item_type": "license",
        "item_id": "42",
        "actor_type": "platform_user",
        "actor_id": "7",
        "db_role": "app",
        "changes": Jsonb({"note": {"old": "a", "new": "b"}}),
    } | columns
    names = ", ".join(row)
    places = ", ".join(["%s"] * len(row))
    with psycopg.connect(url) as connection:
        connection.execute(
            f"insert into audit.log ({names}) values ({places})".encode(), list(row.values())
        )
