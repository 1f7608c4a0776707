"""A real PgBouncer before a server for the length of a with block."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import conninfo

from tests.support.servers import as_account, hand_over, socket_parent, unprivileged_account

# It ends with the process that asked for it, whatever becomes of that: its input ends then.
KEEPER = """
"$1" -q "$2/pgbouncer.ini" < /dev/null > "$2/log" 2>&1 &
read -r _
kill $!
wait
"""

INI = """
[databases]
* = {server}
[pgbouncer]
listen_addr =
unix_socket_dir = {root}
auth_type = any
pool_mode = {mode}
default_pool_size = {pool_size}
max_client_conn = 200
ignore_startup_parameters = options, extra_float_digits
logfile = {root}/pgbouncer.log
{more}
"""

PREPARES = (1, 21)
"""The first version that keeps prepared statements in transaction mode."""


class NoPgBouncerError(Exception):
    """PgBouncer is not installed; the message says what to install."""


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """A running PgBouncer."""

    version: tuple[int, int]
    host: str
    """The directory of its Unix socket; the port is 6432."""

    def url(self, database: str) -> str:
        """Return the URL of a database of the server, by way of PgBouncer."""
        parts = conninfo.conninfo_to_dict(database)
        return f"postgresql://{quote(str(parts['user']))}@/{parts['dbname']}?host={self.host}&port=6432"


def program() -> Path:
    """Return where PgBouncer is.

    Raises:
        NoPgBouncerError: if it is not installed.
    """
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise NoPgBouncerError("PgBouncer is not installed: install your system's pgbouncer")
    return Path(found)


def version_of(path: Path) -> tuple[int, int]:
    """Return the version of PgBouncer."""
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"PgBouncer (\d+)\.(\d+)", answer.stdout)
    if found is None:
        raise NoPgBouncerError(f"{path} does not say which version it is")
    return int(found[1]), int(found[2])


@contextlib.contextmanager
def pgbouncer(database: str, pool_size: int, mode: str = "transaction") -> Iterator[PgBouncer]:
    """Run PgBouncer before the server of `database`, with so many connections to it, in a mode.

    Raises:
        NoPgBouncerError: if it is not installed.
        RuntimeError: if it does not start, with the end of its log.
    """
    path = program()
    version = version_of(path)
    account = unprivileged_account()
    parts: dict[str, Any] = dict(conninfo.conninfo_to_dict(database))
    known = ("host", "port", "user", "password")
    server = " ".join(f"{name}={parts[name]}" for name in known if parts.get(name))
    more = "max_prepared_statements = 100" if version >= PREPARES else ""
    root = Path(tempfile.mkdtemp(prefix="auditdb-", dir=socket_parent(account)))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, root)
        text = INI.format(server=server, root=root, pool_size=pool_size, mode=mode, more=more)
        (root / "pgbouncer.ini").write_text(text)
        hand_over(root, account)
        keeper = cleanup.enter_context(
            subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "keeper", path, root],
                stdin=subprocess.PIPE,
                text=True,
                cwd=root,
                start_new_session=True,
                **as_account(account),
            )
        )
        cleanup.callback(keeper.communicate, "stop\n")
        running = PgBouncer(version, str(root))
        _wait_for(running.url(database), root)
        yield running


def _wait_for(url: str, root: Path) -> None:
    """Return when PgBouncer answers.

    Raises:
        RuntimeError: if it does not within 30 seconds.
    """
    end = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                log = "".join(file.read_text() for file in root.glob("*log"))
                raise RuntimeError(f"PgBouncer did not start:\n{log[-4000:]}") from error
            time.sleep(0.02)
        else:
            return
