"""The documentation is true: its examples run, it names all there is, and its links lead somewhere.

Output shown under an example is compared, with times and the name of the database left out.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import typer.core
import typer.main

import auditdb
from auditdb import errors
from auditdb._cli import app
from auditdb._cli import commands as listed
from auditdb._export import formats, versions
from auditdb._export.compression import COMPRESSIONS
from tests.support import ROOT
from tests.support.catalogue import ACTIONS, PLATFORM
from tests.support.servers import Server

README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
REFERENCE = ROOT / "docs" / "reference.md"
COMMANDS = ROOT / "docs" / "commands.md"
CATALOGUE = ROOT / "docs" / "catalogue.md"
PYTHON = ROOT / "docs" / "python.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

# Lines of examples that set up a machine, and so are for the reader alone.
FOR_THE_READER = frozenset(
    {
        "make demo",
        "python3 -m venv .venv",
        ". .venv/bin/activate",
        "pip install .",
        "pip install auditdb",
        "createdb helpdesk",
        "export AUDITDB_URL=postgresql:///helpdesk",
    }
)


@dataclass(frozen=True, slots=True)
class Example:
    """A block of code in a page, and the output shown under it, if any."""

    line: int
    language: str
    code: str
    shown: str | None


FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(text: str) -> list[Example]:
    """Return the blocks of code in a page; a block of text under one is its output."""
    found: list[Example] = []
    end = -1
    for block in FENCE.finditer(text):
        language, code = block[1], block[2]
        line = text.count("\n", 0, block.start()) + 1
        if language == "text":
            last = found.pop() if found and not text[end : block.start()].strip() else None
            assert last is not None, f"line {line}: output of no example"
            assert last.shown is None, f"line {line}: a second output of one example"
            found.append(Example(last.line, last.language, last.code, code))
        else:
            found.append(Example(line, language, code, None))
        end = block.end()
    return found


def settled(output: str) -> str:
    """Return output without what differs from run to run, and without spaces at line ends."""
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-01-31 12:00:00", output)
    output = re.sub(r'database "\w+" on .* (was|is) ', r"the database \1 ", output)
    output = re.sub(r"\blog_\d{4}_\d\d\b", "log_2026_01", output)
    lines = [line.rstrip() for line in output.splitlines()]
    return "\n".join(lines).strip("\n")


def run_sql(server: Server, url: str, example: Example) -> str:
    """Run a block in psql; return the error that it is said to end with, or all it prints."""
    quiet = ("-Xq", "-v", "ON_ERROR_STOP=1", "-v", "SHOW_CONTEXT=never", "-d", url)
    ran = server.run("psql", *quiet, input=example.code, check=False)
    if example.shown and example.shown.startswith("ERROR:"):
        assert ran.returncode == 3, "it did not fail"
        return ran.stderr
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def run_sh(server: Server, url: str, example: Example) -> str:
    """Run the lines of a block that are auditdb's, as in a terminal of 100 columns."""
    output = ""
    for line in example.code.splitlines():
        if line in FOR_THE_READER:
            continue
        program, *arguments = shlex.split(line.replace(" --url URL", ""))
        assert program in ("auditdb", ".venv/bin/auditdb"), f"not run: {line}"
        output += python(server, url, "-m", "auditdb", *arguments)
    return output


def run_python(server: Server, url: str, example: Example) -> str:
    """Run a block as a program."""
    # An engine keeps its connections until the program ends.
    warnings = ("-W", "error", "-W", "ignore::ResourceWarning")
    return python(server, url, *warnings, "-c", example.code)


def python(server: Server, url: str, *arguments: str) -> str:
    terminal = {"TTY_COMPATIBLE": "1", "FORCE_COLOR": "1", "TERM": "dumb"}
    ran = subprocess.run(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        cwd=ROOT,
        env={"AUDITDB_URL": url, "COLUMNS": "100", "LINES": "40", "PYTHONUTF8": "1"} | terminal,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


RUN: dict[str, Callable[[Server, str, Example], str]] = {
    "python": run_python,
    "diff": lambda *_: "",  # for a file of the reader's; the page on FastAPI is followed
    "sh": run_sh,
    "sql": run_sql,
}


def check_examples(server: Server, url: str, page: Path) -> None:
    """Run the examples of a page in their order, and compare what they print with what is shown."""
    found = examples(page.read_text("utf-8"))
    assert found
    for example in found:
        place = f"{page.name}, line {example.line}"
        assert example.language in RUN, place
        try:
            output = settled(RUN[example.language](server, url, example))
        except AssertionError as error:
            error.add_note(place)
            raise
        if example.shown is not None:
            shown = settled(example.shown)
            # What is shown is the answer to the last statement of the block.
            assert shown, place
            assert f"\n{output}".endswith(f"\n{shown}"), f"{place} prints:\n{output}"


def test_the_examples_of_the_readme_run(server: Server, database: str) -> None:
    check_examples(server, database, README)


def test_the_examples_of_the_tutorial_run(server: Server, empty_database: str) -> None:
    check_examples(server, empty_database, TUTORIAL)


def test_the_examples_of_the_reference_run(server: Server, database: str) -> None:
    check_examples(server, database, REFERENCE)


def test_the_examples_of_the_python_page_run(server: Server, database: str) -> None:
    check_examples(server, database, PYTHON)


def test_every_line_that_is_for_the_reader_alone_is_in_a_page() -> None:
    code = "\n".join(e.code for page in PAGES for e in examples(page.read_text("utf-8")))
    assert set(code.splitlines()) >= FOR_THE_READER


# -- the reference is complete ---------------------------------------------------------------


def sections(page: Path) -> dict[str, str]:
    """Return the text under each heading of a page, down to the next heading of any level."""
    parts = re.split(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def section(title: str) -> str:
    found = [
        text for page in (REFERENCE, COMMANDS, CATALOGUE) if (text := sections(page).get(title))
    ]
    assert found, f"the reference has no section {title}"
    assert len(found) == 1, f"the reference has several sections {title}"
    return found[0]


def named(text: str) -> set[str]:
    """Return what stands in a text as code."""
    return set(re.findall(r"`([^`\n]+)`", text))


def first_column(text: str) -> list[str]:
    """Return the code at the start of each row of the tables in a text."""
    return re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE)


def commands() -> Iterator[tuple[str, set[str]]]:
    """Return each command with its options and arguments."""
    group = typer.main.get_command(app.app)
    assert isinstance(group, typer.core.TyperGroup)
    for name, command in {"": group, **group.commands}.items():
        parameters = set[str]()
        for parameter in command.params:
            if isinstance(parameter, typer.core.TyperArgument):
                parameters.add((parameter.metavar or "").strip("[]"))
            else:
                parameters |= {*parameter.opts, *parameter.secondary_opts}
        yield f"auditdb {name}".strip(), parameters


def test_every_command_and_option_is_documented() -> None:
    for title, parameters in commands():
        listed = {word for row in first_column(section(title)) for word in row.split()}
        assert parameters - listed == set(), title
        assert {word for word in listed if word.startswith("--")} <= parameters, title
    documented = {title for title in sections(COMMANDS) if re.match("auditdb\\b", title)}
    assert documented == {title for title, _ in commands()}


def test_every_format_of_exports_is_documented() -> None:
    text = section("auditdb export")
    rows = dict(re.findall(r"^\| `(--\w+)`[^|]* \| (.+) \|$", text, flags=re.MULTILINE))
    assert formats.FORMATS.keys() - named(rows["--format"]) == set()
    assert COMPRESSIONS.keys() - named(rows["--compress"]) == set()
    described = re.findall(r"^\| (\w[\w ]*) \|", text, flags=re.MULTILINE)
    assert {one.title for one in formats.FORMATS.values()} <= set(described)
    newest = versions.CURRENT.number
    assert f"**Format version {newest}** has the columns of [`audit.log`]" in text


def test_every_exit_code_is_documented() -> None:
    assert first_column(section("Exit codes")) == re.findall(r"\d+", listed.EXIT_CODES)


def test_every_environment_variable_is_documented() -> None:
    read = set[str]()
    readers = [
        *ROOT.glob("auditdb/**/*.py"),
        *ROOT.glob("migrations/*.py"),
        ROOT / "tests/support/servers.py",
    ]
    for path in readers:
        found = r"(?<!\.)\b(?:AUDITDB_[A-Z_]*[A-Z]|PG[A-Z]+)\b"
        read |= set(re.findall(found, path.read_text("utf-8")))
    read -= {"PGCLIENTENCODING", "PGOPTIONS", "PGPASSWORD"}  # set for the tests' programs, not read
    assert read - named(section("Environment")) == set()


def test_every_public_function_and_parameter_is_documented(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "select p.proname, coalesce(p.proargnames, '{}'),"
        "   coalesce(obj_description(p.oid, 'pg_proc') like 'Public.%', false),"
        "   has_function_privilege('public', p.oid, 'execute')"
        " from pg_proc as p where p.pronamespace = 'audit'::regnamespace"
        "   and p.proname !~ '^layout_[0-9]+_'"
    ).fetchall()
    public = {name: arguments for name, arguments, is_public, _ in rows if is_public}
    assert len(public) >= 15
    assert {name for name, *_, is_for_everybody in rows if is_for_everybody} <= public.keys()
    for name, arguments in public.items():
        assert first_column(section(f"audit.{name}"))[: len(arguments)] == arguments, name


def documented_columns(relation: str) -> set[str]:
    """Return the columns that the section of a table or view lists or takes over from another."""
    text = section(relation)
    columns = set(first_column(text))
    for other in re.findall(r"[Aa]ll columns of \[`([\w.]+)`\]", text):
        columns |= documented_columns(other)
    return columns


def test_every_table_view_and_column_is_documented(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "select n.nspname || '.' || c.relname, array_agg(a.attname::text)"
        " from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
        " join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where not c.relispartition and c.relname <> 'alembic_version'"
        "   and (n.nspname = 'audit' and c.relkind in ('r', 'p', 'v')"
        "     or n.nspname = 'licensing' and c.relkind = 'v')"
        " group by 1"
    ).fetchall()
    assert len(rows) == 20
    for relation, columns in rows:
        assert set(columns) - documented_columns(relation) == set(), relation
        assert set(first_column(section(relation))) - set(columns) == set(), relation


def test_the_catalogue_lists_the_actions_that_there_are(connection: psycopg.Connection) -> None:
    rows = connection.execute("select action, label from audit.actions").fetchall()
    listed = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("Catalogue"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(rows)
    platform = [action for action, _ in listed if not re.match("log_|table_|tracking_", action)]
    assert sorted(platform) == sorted(ACTIONS)


def test_the_number_of_actions_is_the_same_everywhere() -> None:
    said = {
        f"{page.name}: {found[0]}": int(found[1])
        for page in PAGES
        for found in re.finditer(r"\b(\d+) actions\b", page.read_text("utf-8"))
    }
    assert said
    assert set(said.values()) == {len(PLATFORM)}, said
    counted = re.search(r"The (\d+) actions of the platform and `(\w+)`", section("Catalogue"))
    assert counted is not None
    assert [int(counted[1]), counted[2]] == [len(PLATFORM), ACTIONS[-1]]


def test_every_error_is_documented(connection: psycopg.Connection) -> None:
    raised = {
        state
        for (source,) in connection.execute(
            "select prosrc from pg_proc where pronamespace = 'audit'::regnamespace"
        ).fetchall()
        for state in re.findall(r"'(UA\d{3})'", source)
    }
    ours = {c.sqlstate: c.__name__ for c in errors.AuditError.__subclasses__() if c.sqlstate}
    assert raised <= ours.keys()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section("Errors"), flags=re.MULTILINE)
    assert dict(rows) == ours


def test_every_setting_is_documented(connection: psycopg.Connection) -> None:
    sources = connection.execute(
        "select prosrc from pg_proc as p where p.pronamespace = 'audit'::regnamespace"
    ).fetchall()
    read = {
        name
        for (source,) in sources
        for name in re.findall(r"(?:current_setting|set_config)\('+(audit\.\w+)", source)
    }
    assert "audit.actor" in read
    assert read - named(section("Settings")) == set()


def test_every_trigger_is_documented(connection: psycopg.Connection) -> None:
    connection.execute(
        "create table public.parted (id integer primary key) partition by range (id);"
        "select audit.track('public.parted')"
    )
    names = connection.execute(
        "select distinct tgname from pg_trigger where tgname like '\\_audit\\_%'"
        " union select evtname from pg_event_trigger where evtname like 'audit%'"
    ).fetchall()
    assert len(names) >= 8
    text = section("Compiled functions and triggers") + section("Event triggers")
    assert {name for (name,) in names} - named(text) == set()


def test_every_public_name_of_the_package_is_documented() -> None:
    text = PYTHON.read_text("utf-8")
    assert {name for name in auditdb.__all__ if not re.search(rf"\b{name}\b", text)} == set()


def test_every_error_that_the_python_page_lists_can_be_imported() -> None:
    listed = {name for name in named(sections(PYTHON)["Errors"]) if re.fullmatch(r"[A-Z]\w+", name)}
    assert listed <= set(auditdb.__all__)
    # The demo has an error of its own, where it was loaded.
    classes = {
        one.__name__
        for one in errors.AuditError.__subclasses__()
        if one.__module__ == errors.__name__
    }
    assert listed == classes | {"AuditError"}


# -- links and names -------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in sections(page)}


REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"][
    "Source"
]
FILES = re.compile(rf"{re.escape(REPOSITORY)}/(?:blob|tree)/main/")


def targets(prose: str) -> list[str]:
    """Return what the links of a page lead to, whichever way they are written."""
    return [
        *re.findall(r"\]\(([^)\s]+)\)", prose),
        *re.findall(r"^\[[^\]]+\]: (\S+)$", prose, flags=re.MULTILINE),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    prose = FENCE.sub("", page.read_text("utf-8"))
    for target in targets(prose):
        if target.startswith(REPOSITORY) and not FILES.match(target):
            continue
        place, is_absolute = FILES.subn("", target)
        assert "://" not in place, f"{target}: all there is to know is in here"
        name, _, anchor = place.partition("#")
        linked = ((ROOT if is_absolute else page.parent) / name).resolve() if name else page
        assert linked.exists(), target
        assert not is_absolute or ("/tree/" in target) == linked.is_dir(), target
        assert not anchor or anchor in anchors(linked), target
    top = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.is_dir())
    for path in re.findall(rf"`((?:{top})/[^\s`]*)`", prose):
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_the_links_of_the_readme_work_wherever_it_is_shown() -> None:
    prose = FENCE.sub("", README.read_text("utf-8"))
    assert len(targets(prose)) >= 15
    assert [target for target in targets(prose) if not FILES.match(target)] == []
    used = set(re.findall(r"\]\[([^\]]+)\]", prose))
    assert used == set(re.findall(r"^\[([^\]]+)\]: ", prose, flags=re.MULTILINE))


# Names of places on somebody's machine, and of how this was made rather than what it is.
OUT_OF_PLACE = re.compile(
    r"/(?:home|root|tmp|work|usr|Users)/|\bissue #?\d|\b(?:TODO|FIXME|XXX)\b"
    r"|\b(?:AI|LLM|assistant|pypi\.org)\b",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_documentation_speaks_of_the_project_alone(page: Path) -> None:
    assert OUT_OF_PLACE.findall(page.read_text("utf-8")) == []
