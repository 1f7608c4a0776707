"""PostgreSQL in containers, for the tests: where a Docker engine answers, with its own images."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from functools import partial
from urllib.parse import urlsplit

import docker
from docker import constants
from testcontainers.community.postgres import PostgresContainer

from tests.support.servers import SETTINGS, Candidate, Server, client_programs
from tests.support.versions import supported

DATA = "/auditdb"
"""Where the data are in a container: in memory, which goes with it."""


def candidates() -> list[Candidate]:
    """Return a server for each supported version, as a container to start."""
    return [Candidate(version, "Docker", partial(contained, version)) for version in supported()]


def why_no_engine(environment: Mapping[str, str]) -> str | None:
    """Return why no Docker engine answers, the one of DOCKER_HOST or of this machine, or None."""
    host = environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        if host.startswith("unix:"):
            # Asked first: the client does not close a socket that nobody listens at.
            with socket.socket(socket.AF_UNIX) as asked:
                asked.connect(urlsplit(host).path)
        # With a version that is named, making the client asks nothing: one that fails to be made
        # could not be closed.
        client = docker.from_env(
            version=constants.DEFAULT_DOCKER_API_VERSION,
            timeout=10,
            environment=dict(environment),
        )
        with contextlib.closing(client):
            client.ping()
    except (docker.errors.DockerException, OSError) as error:
        return f"no Docker engine answers at {host}: {error}"
    return None


@contextlib.contextmanager
def contained(version: int) -> Iterator[Server]:
    """Run a server in a container for the length of a with block."""
    flags = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    container = (
        PostgresContainer(
            f"postgres:{version}",
            username="postgres",
            password="postgres",
            dbname="postgres",
            driver=None,
        )
        .with_tmpfs_mount(DATA)
        .with_env("PGDATA", f"{DATA}/data")
        .with_command(f"postgres {flags}")
    )
    with container:
        yield Server(
            version=version,
            bindir=client_programs(version),
            host=container.get_container_host_ip(),
            port=int(container.get_exposed_port(5432)),
            password="postgres",
            is_volatile=True,
        )
