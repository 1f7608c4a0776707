"""A hot standby of a server of the tests, for what may only be read there."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.servers import Server, as_account, hand_over, socket_parent, unprivileged_account


@contextlib.contextmanager
def standby(server: Server) -> Iterator[Server]:
    """Run a standby of `server` for the length of a with block.

    Skips the test where the server is not of this machine, or there is no pg_basebackup.
    """
    if not Path(server.host).is_dir() or not (server.bindir / "pg_basebackup").exists():
        pytest.skip("a standby needs the programs of the server, here")
    account = unprivileged_account()
    root = Path(tempfile.mkdtemp(prefix="auditdb-", dir=socket_parent(account)))
    hand_over(root, account)
    copied = root / "data"

    def run(*arguments: object) -> None:
        ran = subprocess.run(
            [str(word) for word in arguments],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
            **as_account(account),
        )
        assert ran.returncode == 0, ran.stderr.decode()

    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, root, ignore_errors=True)
        place = ("-h", server.host, "-p", server.port, "-U", server.user)
        run(server.bindir / "pg_basebackup", *place, "-D", copied, "-R", "-c", "fast", "--no-sync")
        options = f"-c unix_socket_directories={root} -c hot_standby_feedback=on"
        control = (server.bindir / "pg_ctl", "-D", copied)
        cleanup.callback(run, *control, "-m", "immediate", "-w", "stop")
        run(*control, "-l", root / "log", "-o", options, "-t", "60", "-w", "start")
        yield replace(server, host=str(root))


def caught_up(primary: psycopg.Connection, copy: psycopg.Connection) -> None:
    """Wait until a standby has all that the primary has written."""
    row = primary.execute("select pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = copy.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone()
        if found == (True,):
            return
        # What an open transaction wrote may lie in the primary's memory for a while yet.
        primary.execute("select pg_switch_wal()")
        time.sleep(0.01)
    raise AssertionError("the standby did not catch up")
