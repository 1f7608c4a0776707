"""Servers in containers: they are chosen where a Docker engine answers, and asked of it rightly."""

import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.conftest import header
from tests.support import choice, containers
from tests.support.choice import chosen, why_no_containers
from tests.support.servers import SETTINGS, Candidate, NoServerError
from tests.support.versions import supported


@dataclass
class Engine:
    """A Docker engine that answers, notes what it is asked to make, and makes nothing."""

    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Such an engine, at a socket of its own."""
    path = tmp_path_factory.mktemp("docker") / "docker.sock"
    made = Engine(f"unix://{path}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/_ping": b"OK", "/version": b'{"ApiVersion": "1.45"}'}
            found = [text for end, text in known.items() if self.path.endswith(end)]
            self._answer(200, *(found or [b"{}"]))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made.asked.append(json.loads(body or b"{}") | {"path": self.path})
            self._answer(507, b'{"message": "no room left"}')

        def _answer(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text)

        def address_string(self) -> str:
            return "test"

        def log_message(self, *_: object) -> None: ...

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of PostgreSQL 18 and 15 are on this machine, whatever else is."""
    found = [Candidate(version, "system", containers.candidates()[0].start) for version in (18, 15)]
    monkeypatch.setattr(choice, "installed", lambda _: found)


def servers(environment: dict[str, str]) -> list[tuple[str, str]]:
    return [(candidate.id, candidate.origin) for candidate in chosen(environment)]


@pytest.mark.usefixtures("programs")
def test_an_engine_that_answers_has_every_supported_version(engine: Engine) -> None:
    environment = {"DOCKER_HOST": engine.url}
    every = [(f"pg{version}", "Docker") for version in supported()]
    assert servers(environment | {"AUDITDB_TEST_PG": "all"}) == every
    assert servers(environment) == every[:1]
    assert servers(environment | {"AUDITDB_TEST_PG": "16"}) == [("pg16", "Docker")]
    assert why_no_containers(environment) is None
    assert header(chosen(environment), environment) == [
        f"servers: pg{supported()[0]} (Docker)",
        "containers: a Docker engine answers",
    ]


@pytest.mark.usefixtures("programs")
def test_without_an_engine_the_programs_here_are_used_and_the_header_says_so(
    tmp_path: Path,
) -> None:
    environment = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    assert servers(environment) == [("pg18", "system")]
    assert servers(environment | {"AUDITDB_TEST_PG": "all"}) == [
        ("pg18", "system"),
        ("pg15", "system"),
    ]
    with pytest.raises(NoServerError, match=r"PostgreSQL 16; found: 18 \(system\), 15"):
        servers(environment | {"AUDITDB_TEST_PG": "16"})
    reason = f"at unix://{tmp_path}/docker.sock: [Errno 2] No such file or directory"
    assert header(chosen(environment), environment) == [
        "servers: pg18 (system)",
        f"containers: no Docker engine answers {reason}",
    ]


def test_an_engine_that_refuses_is_no_engine(tmp_path: Path) -> None:
    said = why_no_containers({"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert said is not None
    assert said.startswith("no Docker engine answers at tcp://127.0.0.1:1: ")


@pytest.mark.usefixtures("programs")
def test_an_engine_is_left_alone_on_request(engine: Engine) -> None:
    environment = {"DOCKER_HOST": engine.url, "AUDITDB_TEST_DOCKER": "no"}
    assert servers(environment) == [("pg18", "system")]
    assert why_no_containers(environment) == "AUDITDB_TEST_DOCKER is no"


def test_a_server_that_is_named_comes_first(engine: Engine, tmp_path: Path) -> None:
    environment = {
        "DOCKER_HOST": engine.url,
        "AUDITDB_TEST_URL": f"postgresql:///postgres?host={tmp_path}",
    }
    with pytest.raises(NoServerError, match="AUDITDB_TEST_URL"):
        chosen(environment)
    assert why_no_containers(environment) == "AUDITDB_TEST_URL names a server"


def test_a_container_is_postgresql_of_its_version_with_the_settings_of_the_tests(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    (candidate,) = chosen({"DOCKER_HOST": engine.url, "AUDITDB_TEST_PG": "15"})
    with pytest.raises(docker.errors.APIError, match="no room left"), candidate.start():
        pass
    (asked,) = [one for one in engine.asked if "/containers/create" in one["path"]]
    assert asked["Image"] == "postgres:15"
    for name, value in SETTINGS.items():
        assert f"{name}={value}" in asked["Cmd"]
    assert "POSTGRES_USER=postgres" in asked["Env"]
    (place,) = asked["HostConfig"]["Tmpfs"]
    assert f"PGDATA={place}/data" in asked["Env"]
