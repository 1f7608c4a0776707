"""Makes a real Alembic project from Alembic's own templates and runs its commands."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from alembic import command
from alembic.config import Config

HEADER = """
from sqlalchemy import *
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
import auditdb
from auditdb import Action, Tracked

class Base(DeclarativeBase):
    pass
"""

MODELS = """
import sys
from pathlib import Path
from runpy import run_path
target_metadata = run_path(str(Path(__file__).parents[1] / "models.py"))["Base"].metadata
"""


def url_for(driver: str, url: str) -> str:
    """Return a URL of SQLAlchemy's for this driver."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if driver == "asyncpg":
        query.pop("options")
    encoded = urlencode(query, quote_via=quote)
    return urlunsplit((f"postgresql+{driver}", parts.netloc, parts.path, encoded, ""))


@dataclass(frozen=True, slots=True)
class Project:
    """An Alembic project in a directory of its own, on one database."""

    directory: Path
    url: str

    @classmethod
    def new(
        cls,
        directory: Path,
        url: str,
        *,
        template: str = "generic",
        driver: str = "psycopg",
        options: str = "",
    ) -> Project:
        """Make a project whose env.py is Alembic's, with one line changed for the audit log.

        `options` are further arguments of context.configure(), such as `, include_schemas=True`.
        """
        project = cls(directory, url_for(driver, url))
        file = Config(directory / "alembic.ini", stdout=StringIO())
        command.init(file, str(directory / "alembic"), template=template)
        env = directory / "alembic" / "env.py"
        source = env.read_text()
        for old, new in (
            ("from alembic import context", "from auditdb.alembic import context"),
            ("target_metadata = None", MODELS),
            ("target_metadata=target_metadata", f"target_metadata=target_metadata{options}"),
        ):
            assert old in source
            source = source.replace(old, new)
        env.write_text(source)
        return project

    def config(self, output: StringIO | None = None) -> Config:
        # Without the file that init() wrote: it would set up the logging of the tests.
        config = Config(output_buffer=output, stdout=StringIO())
        config.set_main_option("script_location", str(self.directory / "alembic"))
        config.set_main_option("path_separator", "os")
        config.set_main_option("sqlalchemy.url", self.url.replace("%", "%%"))
        return config

    def models(self, source: str) -> None:
        """Write the models, which follow the imports that all models have."""
        (self.directory / "models.py").write_text(HEADER + textwrap.dedent(source))

    def revision(self, name: str) -> str:
        """Write a revision by autogenerate; return what it does, from upgrade() on."""
        script = command.revision(self.config(), name, autogenerate=True, rev_id=name)
        assert script is not None
        assert not isinstance(script, list)
        source = Path(script.path).read_text()
        return source[source.index("def upgrade") :]

    def write_revision(self, name: str, upgrade: str, downgrade: str = "pass") -> None:
        """Write a revision by hand."""
        script = command.revision(self.config(), name, rev_id=name)
        assert script is not None
        assert not isinstance(script, list)
        path = Path(script.path)
        source = path.read_text()
        head = source[: source.index("def upgrade")]
        for function, body in (("upgrade", upgrade), ("downgrade", downgrade)):
            indented = textwrap.indent(textwrap.dedent(body).strip(), "    ")
            head += f"def {function}() -> None:\n{indented}\n\n\n"
        path.write_text(head)

    def upgrade(self, revision: str = "head") -> None:
        command.upgrade(self.config(), revision)

    def downgrade(self, revision: str) -> None:
        command.downgrade(self.config(), revision)

    def sql(self, revision: str, *, down: bool = False) -> str:
        """Return the script that `--sql` prints."""
        output = StringIO()
        run = command.downgrade if down else command.upgrade
        run(self.config(output), revision, sql=True)
        return output.getvalue()

    def check(self) -> None:
        """Raise CommandError where models and database differ."""
        command.check(self.config())

    def migrate(self, name: str) -> str:
        """Write a revision by autogenerate and run it; return what it does."""
        source = self.revision(name)
        self.upgrade()
        return source
