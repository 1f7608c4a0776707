"""The page on FastAPI is true: its files, changes and commands, run as they stand there."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.docs.test_docs import settled
from tests.support import ROOT

pytestmark = [pytest.mark.once, pytest.mark.slow]

PAGE = ROOT / "docs" / "fastapi.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w./]+\.py)`")
FOR_THE_READER = re.compile(r"pip install |createdb |export ")


class Reader:
    """Somebody who follows the page, in a directory and with a database of their own."""

    def __init__(self, directory: Path, url: str, servers: ExitStack) -> None:
        self.directory = directory
        self.servers = servers
        self.port = _free_port()
        self.environment = {
            **os.environ,
            "DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://", 1),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "120",
            "PYTHONWARNINGS": "error",
        }

    def python(self, file: str, code: str) -> None:
        """Write a file, or add to it what comes at its end."""
        path = self.directory / file
        path.write_text((path.read_text() + "\n\n" if path.exists() else "") + code)

    def diff(self, file: str, code: str) -> None:
        """Put the lines with + in the place of those with -."""
        path = self.directory / file
        lines = code.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line.startswith("-"))
        new = "".join(line[1:] for line in lines if line.startswith("+"))
        source = path.read_text()
        assert source.count(old) == 1, f"{file} has this {source.count(old)} times: {old}"
        path.write_text(source.replace(old, new))

    def sh(self, code: str) -> str:
        """Run commands; return what they print to stdout."""
        output = ""
        for line in code.splitlines():
            if FOR_THE_READER.match(line):
                continue
            line = line.replace("8000", str(self.port))
            if line.endswith(" &"):
                self.servers.enter_context(self.serving(line.removesuffix(" &")))
                continue
            ran = subprocess.run(
                ["bash", "-c", line],
                cwd=self.directory,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
            output += ran.stdout
        return output

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        """Run a server, from when it answers to the end of the test or the next change of it."""
        with subprocess.Popen(
            command.split(),
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as server:
            try:
                self.wait(server)
                yield
            finally:
                server.terminate()

    def wait(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert server.poll() is None, server.communicate()[1].decode()
            with suppress(ConnectionRefusedError), socket.create_connection(("::1", self.port)):
                return
            with (
                suppress(ConnectionRefusedError),
                socket.create_connection(("127.0.0.1", self.port)),
            ):
                return
        pytest.fail("the server does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.skipif(
    shutil.which("curl") is None and not os.environ.get("CI"), reason="curl is not installed"
)
def test_the_page_can_be_followed_as_it_stands(empty_database: str, tmp_path: Path) -> None:
    text = PAGE.read_text()
    file, shown, end = "", 0, 0
    output = ""
    with ExitStack() as servers:
        reader = Reader(tmp_path, empty_database, servers)
        server_command = ""
        for block in BLOCK.finditer(text):
            named = FILE.findall(text[end : block.start()])
            file = named[-1] if named else file
            end = block.end()
            language, code = block[1], block[2]
            if language == "text":
                assert tidy(output) == tidy(code)
                shown += 1
            elif language == "sh":
                server_command = next(
                    (line for line in code.splitlines() if line.endswith(" &")), server_command
                )
                output = reader.sh(code)
            elif language == "diff":
                reader.diff(file, code)
            elif not code.startswith("with "):
                reader.python(file, code)
                if server_command:
                    servers.close()
                    reader.sh(server_command)
    assert shown == text.count("```text") == 3


def tidy(output: str) -> str:
    """Return output without what differs from run to run, and with single spaces."""
    return re.sub(r" +", " ", settled(output)).strip()
