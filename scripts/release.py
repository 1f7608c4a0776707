"""Makes a release: refuses what is not ready, builds, checks what was built, and tags it."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"


def version() -> str:
    """Return the version in pyproject.toml."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return found


def run(*command: str | Path) -> str:
    """Run a program at the root of the project; return what it prints, or end with its answer."""
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{ran.stdout}{ran.stderr}".strip())
    return ran.stdout


def section(number: str) -> tuple[str, str] | None:
    """Return what the changelog says in brackets after this version, and its text."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = re.search(
        rf"^## {re.escape(number)} \((.*?)\)$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return (found[1], found[2]) if found else None


def problems(number: str) -> list[str]:
    """Return what is not ready for the release of a version, in words."""
    found = []
    if changed := run("git", "status", "--porcelain").splitlines():
        found.append(f"The working tree is not clean: {', '.join(line[3:] for line in changed)}.")
    if run("git", "tag", "--list", f"v{number}"):
        found.append(f"v{number} is tagged already: raise the version in pyproject.toml.")
    said = section(number)
    if said is None:
        found.append(f"CHANGELOG.md has no section {number}.")
    elif not re.fullmatch(r"\d{4}-\d\d-\d\d", said[0]):
        found.append(f"CHANGELOG.md gives {number} no date but {said[0]!r}.")
    for check in ("draft", "seal"):
        try:
            run(sys.executable, ROOT / "scripts" / "migration.py", check, "--check")
        except SystemExit as refused:
            found.append(str(refused))
    return found


def build(tag: str | None) -> list[Path]:
    """Build into dist/ and check what was built; with `tag`, refuse another version than its."""
    if tag not in (None, f"v{version()}"):
        raise SystemExit(f"{tag} is not the tag of version {version()}.")
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST)
    built = sorted(DIST.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *built)
    return built


def release() -> None:
    """Build and tag the version, or end with what is not ready."""
    number = version()
    if found := problems(number):
        raise SystemExit("\n".join(found))
    for path in build(None):
        print(path.relative_to(ROOT))
    run("git", "tag", "--annotate", f"v{number}", "--message", f"auditdb {number}")
    print(f"Tagged v{number}. This publishes it: git push origin v{number}")


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("release", help="check, build and tag")
    verb = verbs.add_parser("build", help="build into dist/ and check what was built")
    verb.add_argument("--tag", help="the tag that is built, such as v0.1.0")
    given = parser.parse_args()
    if given.verb == "release":
        release()
    else:
        build(given.tag)


if __name__ == "__main__":
    main()
