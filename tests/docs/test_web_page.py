"""The page on web applications is true: its applications are served, its requests sent."""

import argparse
import asyncio
import shlex
from contextlib import AbstractContextManager
from typing import Any

import flask
import httpx
import pytest
from sqlalchemy import Engine

from tests.docs.test_docs import examples, run_sql, settled
from tests.support import ROOT
from tests.support.actors import sqlalchemy_url
from tests.support.servers import Server
from tests.support.web import uvicorn_serving, werkzeug_serving

pytestmark = pytest.mark.once

PAGE = ROOT / "docs" / "web.md"
ADDRESS = "http://127.0.0.1:8000"


def curl() -> argparse.ArgumentParser:
    """Return a reader of those options of curl that the page uses."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-A", dest="agent", default="curl")
    parser.add_argument("-b", dest="cookies_from")
    parser.add_argument("-c", dest="cookies_to")
    parser.add_argument("url")
    return parser


def send(client: httpx.Client, line: str) -> None:
    """Send what a line that begins with curl says; the client keeps the cookies in any case."""
    given = curl().parse_args(shlex.split(line)[1:])
    assert given.url.startswith(ADDRESS)
    headers = dict(header.split(": ", 1) for header in given.headers)
    answer = client.request(
        given.method,
        given.url.removeprefix(ADDRESS),
        headers={"user-agent": given.agent, **headers},
    )
    assert answer.status_code == 200, answer.text


def serving(app: Any) -> AbstractContextManager[str]:
    return werkzeug_serving(app) if isinstance(app, flask.Flask) else uvicorn_serving(app)


def dispose(engine: Any) -> None:
    """Close the connections of an engine, whose server has ended."""
    if isinstance(engine, Engine):
        engine.dispose()
    else:
        asyncio.run(engine.dispose())


def test_the_examples_run(server: Server, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = sqlalchemy_url(database, "psycopg").render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    names: dict[str, Any] = {"__name__": "app"}
    languages = [example.language for example in examples(PAGE.read_text("utf-8"))]
    assert languages.count("sh") == 4
    for example in examples(PAGE.read_text("utf-8")):
        place = f"{PAGE.name}, line {example.line}"
        if example.language == "python":
            exec(compile(example.code, place, "exec", dont_inherit=True), names)
        elif example.language == "sh":
            with serving(names["app"]) as address, httpx.Client(base_url=address) as client:
                for line in example.code.splitlines():
                    if not line.startswith(("uvicorn ", "flask ")):
                        send(client, line)
            dispose(names["engine"])
        else:
            output = settled(run_sql(server, database, example))
            shown = settled(example.shown or "")
            assert output.endswith(shown), f"{place} prints:\n{output}"
