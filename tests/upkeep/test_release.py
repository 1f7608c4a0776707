"""A release is made of what is ready, and of nothing else: tried on a copy of this project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.slow

LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "*.egg-info")
)
IDENTITY = {
    f"GIT_{who}_{what}": f"{what.lower()}@x.example"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program at the root of a copy of this project."""
    return subprocess.run(
        command,
        cwd=copy,
        env=os.environ | IDENTITY | {"GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )


def script(copy: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(copy, sys.executable, f"scripts/{name}.py", *arguments)


def commit(copy: Path) -> None:
    for command in (["git", "add", "--all"], ["git", "commit", "--quiet", "--message", "Change"]):
        ran = run(copy, *command)
        assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, version: str) -> Path:
    """A copy of this project, a repository of its own, that is ready for its release."""
    copy = tmp_path_factory.mktemp("release") / "auditdb"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    change(
        copy / "CHANGELOG.md", rf"^## {re.escape(version)} \(.*\)$", f"## {version} (2026-12-01)"
    )
    assert script(copy, "migration", "seal").returncode == 0
    assert run(copy, "git", "init", "--quiet", "--initial-branch", "main").returncode == 0
    commit(copy)
    return copy


@pytest.fixture
def ready(prepared: Path, tmp_path: Path) -> Path:
    """One more such copy, that is the test's own."""
    return Path(shutil.copytree(prepared, tmp_path / "auditdb"))


def change(path: Path, pattern: str, new: str) -> None:
    text, changed = re.subn(pattern, new, path.read_text("utf-8"), flags=re.MULTILINE)
    assert changed == 1, pattern
    path.write_text(text, "utf-8")


def test_what_is_ready_is_built_checked_and_tagged_once(ready: Path, version: str) -> None:
    released = script(ready, "release", "release")
    assert released.returncode == 0, released.stdout + released.stderr
    built = {f"dist/auditdb-{version}-py3-none-any.whl", f"dist/auditdb-{version}.tar.gz"}
    assert built <= set(released.stdout.splitlines())
    assert all((ready / path).exists() for path in built)
    described = run(ready, "git", "describe", "--exact-match")
    assert described.stdout.strip() == f"v{version}"
    again = script(ready, "release", "release")
    assert again.returncode == 1
    assert f"v{version} is tagged already" in again.stderr


def test_all_that_is_not_ready_is_refused_at_once(ready: Path, version: str) -> None:
    change(ready / "CHANGELOG.md", r"\(2026-12-01\)$", "(not released yet)")
    (ready / "migrations/versions/audit_0001_log.down.sql").write_text("-- nothing\n")
    assert script(ready, "migration", "new", "redact columns").returncode == 0
    commit(ready)
    (ready / "auditdb" / "later.py").touch()
    refused = script(ready, "release", "release")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "The working tree is not clean: auditdb/later.py.",
        f"CHANGELOG.md gives {version} no date but 'not released yet'.",
        (
            "Not sealed: audit_0001_log.down.sql, audit_0002_redact_columns.down.sql, "
            "audit_0002_redact_columns.py, audit_0002_redact_columns.up.sql. "
            "Run `make seal` and commit."
        ),
    ]
    assert not (ready / "dist").exists()
    assert run(ready, "git", "tag").stdout == ""


def test_a_version_without_a_section_and_a_stale_draft_are_refused(ready: Path) -> None:
    change(ready / "pyproject.toml", '^version = ".*"$', 'version = "0.99.0"')
    (ready / "migrations/versions/SHA256SUMS").write_text("")
    (ready / "sql/audit/schema.sql").write_text("create schema audit;\n")
    commit(ready)
    refused = script(ready, "release", "release")
    assert refused.returncode == 1
    assert "CHANGELOG.md has no section 0.99.0." in refused.stderr
    assert "audit_0001_log.up.sql is not what sql/ says: run `make draft`." in refused.stderr
    assert run(ready, "git", "tag").stdout == ""


def test_what_an_index_would_not_show_is_not_tagged(ready: Path) -> None:
    text = '{file = "README.md", content-type = "text/x-rst"}'
    change(ready / "pyproject.toml", '^readme = "README.md"$', f"readme = {text}")
    commit(ready)
    refused = script(ready, "release", "release")
    assert refused.returncode == 1
    assert "FAILED" in refused.stderr
    assert run(ready, "git", "tag").stdout == ""


def test_the_build_of_a_tag_is_of_its_version(ready: Path) -> None:
    refused = script(ready, "release", "build", "--tag", "v99.0.0")
    assert refused.returncode == 1
    assert "v99.0.0 is not the tag of version" in refused.stderr
    assert not (ready / "dist").exists()


def test_the_migrations_of_this_tree_are_as_sql_says() -> None:
    checked = script(ROOT, "migration", "draft", "--check")
    assert checked.returncode == 0, checked.stderr


# -- what a workflow asks for ----------------------------------------------------------------


def versions_of_the_workflow() -> dict[str, list[str]]:
    """Return the versions of Python and PostgreSQL that the workflow is told to test."""
    outputs = (line.partition("=") for line in script(ROOT, "versions").stdout.splitlines())
    return {name: json.loads(listed) for name, _, listed in outputs}


def test_the_workflow_tests_the_versions_that_are_listed_and_no_others() -> None:
    found = versions_of_the_workflow()
    assert found.keys() == {"python", "postgresql"}
    assert found["python"][0] == "3.11"
    assert {"15", "18"} <= set(found["postgresql"])
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    assert 'run: python3 scripts/versions.py >> "$GITHUB_OUTPUT"\n' in workflow
    for name in found:
        assert f"{name}: ${{{{ fromJSON(needs.versions.outputs.{name}) }}}}\n" in workflow
    call = "- run: .ci/run\n        env:\n          AUDITDB_TEST_PG: ${{ matrix.postgresql }}\n"
    assert call in workflow
    assert re.findall(r"\b(?:3\.1\d|1[5-9])\b", workflow) == []


def test_the_pages_name_the_versions_that_are_tested() -> None:
    found = versions_of_the_workflow()
    page = " ".join((ROOT / "docs/versioning.md").read_text("utf-8").split())
    for name, title in (("python", "Python"), ("postgresql", "PostgreSQL")):
        *others, last = found[name]
        assert f"{title} {', '.join(others)} and {last}" in page
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"PostgreSQL {found['postgresql'][0]} to {found['postgresql'][-1]}," in readme
    assert f"Python {found['python'][0]} or later" in readme
