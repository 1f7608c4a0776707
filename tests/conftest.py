"""What all tests share: the servers chosen, a migrated template, and databases cloned from it."""

import os
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, LiteralString, Protocol, TypeVar

import hypothesis
import psycopg
import pytest
from psycopg import conninfo

from auditdb._upkeep import migrate
from tests.support import effort
from tests.support.choice import chosen, why_no_containers
from tests.support.servers import Candidate, NoServerError, Server, memory_directory

T = TypeVar("T")

CANDIDATES = pytest.StashKey[list[Candidate]]()

hypothesis.settings.register_profile("auditdb", deadline=None)
hypothesis.settings.load_profile("auditdb")


class Connect(Protocol):
    """Opens one more session on the test's database; it is closed when the test ends."""

    def __call__(
        self, *, user: str | None = None, autocommit: bool = False, **parameters: Any
    ) -> psycopg.Connection: ...


class CreateRole(Protocol):
    """Creates a role that may log in, and returns its name; it is dropped when the test ends."""

    def __call__(self, options: LiteralString = "login") -> str: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help=f"more examples, more rows, more kills, everywhere (or {effort.VARIABLE}=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--long"):
        os.environ[effort.VARIABLE] = "1"
    try:
        config.stash[CANDIDATES] = chosen(os.environ, memory_directory())
    except NoServerError as error:
        raise pytest.UsageError(str(error)) from None
    # A shell starts what runs in its background with interrupts ignored, and commands that tests
    # start and interrupt would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> list[str]:
    candidates = config.stash[CANDIDATES]
    return header(candidates, os.environ)


def header(candidates: Sequence[Candidate], environment: Mapping[str, str]) -> list[str]:
    """Return what the report says of the servers first."""
    servers = [f"{candidate.id} ({candidate.origin})" for candidate in candidates]
    reason = why_no_containers(environment)
    return [
        f"servers: {', '.join(servers)}",
        f"containers: {reason or 'a Docker engine answers'}",
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        candidates = metafunc.config.stash[CANDIDATES]
        if metafunc.definition.get_closest_marker("once") and not effort.is_long():
            candidates = candidates[:1]
        ids = [candidate.id for candidate in candidates]
        metafunc.parametrize("server", candidates, ids=ids, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests: those that take long, then the rest; server by server, file by file."""
    newest, *_ = config.stash[CANDIDATES]

    def place(item: pytest.Item) -> tuple[bool, int, Path]:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        candidate: Candidate = parameters.get("server", newest)
        return item.get_closest_marker("slow") is None, -candidate.version, item.path

    items.sort(key=place)


class Kept:
    """What is made once for all tests of a worker, in whatever order they ask for it."""

    def __init__(self, until: ExitStack) -> None:
        self._until = until
        self._made: dict[tuple[str, str], Any] = {}

    def get(self, what: str, server: str, make: Callable[[], AbstractContextManager[T]]) -> T:
        """Return what was made for a server; if nothing was, make it, and close it in the end."""
        if (what, server) not in self._made:
            self._made[what, server] = self._until.enter_context(make())
        made: T = self._made[what, server]
        return made


@pytest.fixture(scope="session")
def _kept() -> Iterator[Kept]:
    """What lasts as long as the worker does: servers, templates, shared databases."""
    with ExitStack() as until:
        yield Kept(until)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, _kept: Kept) -> Server:
    """One of the chosen servers; a test that uses it runs once on each."""
    candidate: Candidate = request.param
    return _kept.get("server", candidate.id, candidate.start)


@pytest.fixture(scope="session")
def template(server: Server, _kept: Kept) -> str:
    """The name of a database with all migrations, to clone; clones fail while it is in use."""
    return _kept.get("template", server.host, lambda: _migrated(server, "heads"))


@pytest.fixture(scope="session")
def engine_template(server: Server, _kept: Kept) -> str:
    """The name of a database with schema audit alone, where nothing is tracked yet, to clone."""
    return _kept.get("engine template", server.host, lambda: _migrated(server, "audit@head"))


@pytest.fixture(scope="session")
def _shared_database(server: Server, template: str, _kept: Kept) -> str:
    """The URL of the migrated database whose tests roll back what they do."""
    name = _kept.get("shared database", server.host, lambda: _new_database(server, template))
    return server.url(name)


@pytest.fixture
def connection(_shared_database: str) -> Iterator[psycopg.Connection]:
    """A session whose transaction is rolled back, for tests that need no commit."""
    with closing(psycopg.connect(_shared_database)) as session:
        yield session


@pytest.fixture
def database(server: Server, template: str, _roles: list[str]) -> Iterator[str]:
    """The URL of a migrated database that is this test's own."""
    with _new_database(server, template) as name:
        yield server.url(name)


@pytest.fixture
def engine_database(server: Server, engine_template: str, _roles: list[str]) -> Iterator[str]:
    """The URL of a database with schema audit alone that is this test's own."""
    with _new_database(server, engine_template) as name:
        yield server.url(name)


@pytest.fixture
def empty_database(server: Server, _roles: list[str]) -> Iterator[str]:
    """The URL of a database with nothing in it that is this test's own."""
    with _new_database(server) as name:
        yield server.url(name)


@pytest.fixture
def connect(server: Server, database: str) -> Iterator[Connect]:
    """A function that opens sessions on `database`, as its owner or as another `user`."""
    name = conninfo.conninfo_to_dict(database)["dbname"]
    with ExitStack() as sessions:

        def connect(
            *, user: str | None = None, autocommit: bool = False, **parameters: Any
        ) -> psycopg.Connection:
            url = server.url(str(name), user)
            session = psycopg.connect(url, autocommit=autocommit, **parameters)
            return sessions.enter_context(closing(session))

        yield connect


@pytest.fixture
def _roles(server: Server) -> Iterator[list[str]]:
    """The roles to drop after the databases in which they have rights."""
    names: list[str] = []
    yield names
    for name in names:
        server.execute("drop role {}", name)


@pytest.fixture
def create_role(server: Server, _roles: list[str]) -> CreateRole:
    """A function that creates a role for `database`; with `connection`, create it in there."""

    def create_role(options: LiteralString = "login") -> str:
        name = _new_name()
        server.execute(f"create role {{}} {options}", name)
        _roles.append(name)
        return name

    return create_role


@contextmanager
def _new_database(
    server: Server, template: str = "template0", owner: str | None = None
) -> Iterator[str]:
    """Create a database, and drop it in the end whoever is still connected."""
    name = _new_name()
    server.clone(name, template, owner)
    try:
        yield name
    finally:
        server.execute("drop database {} with (force)", name)


@contextmanager
def _migrated(server: Server, revision: str, owner: str | None = None) -> Iterator[str]:
    """Create a database with the migrations up to `revision`, and drop it in the end."""
    with _new_database(server, owner=owner) as name:
        migrate.upgrade(server.url(name, owner), revision)
        yield name


@contextmanager
def _new_role(server: Server) -> Iterator[str]:
    """Create a role that may log in, and drop it in the end."""
    name = _new_name()
    server.execute("create role {} login", name)
    try:
        yield name
    finally:
        server.execute("drop role {}", name)


def _new_name() -> str:
    """Return a name that no other database or role of any test run has."""
    return f"auditdb_{secrets.token_hex(6)}"
