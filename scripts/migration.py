"""Makes migrations: the files of a new one, the draft of a branch's first one, the checksums."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SQL = ROOT / "sql"
VERSIONS = ROOT / "migrations" / "versions"
SUMS = VERSIONS / "SHA256SUMS"
BRANCHES = ("audit", "licensing")


def listed(branch: str) -> list[Path]:
    """Return the files of `branch` that sql/install.sql includes, in its order."""
    found = []
    for number, line in enumerate((SQL / "install.sql").read_text("utf-8").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("--") or words[0] in (r"\set", r"\echo"):
            continue
        if line.endswith(";"):
            # Around the files, where a migration has its own.
            continue
        if len(words) != 2 or words[0] != r"\ir":
            raise SystemExit(
                f"sql/install.sql:{number}: only \\ir, \\set, \\echo, statements and comments"
            )
        if words[1].split("/")[0] == branch:
            found.append(SQL / words[1])
    if not found:
        raise SystemExit(f"sql/install.sql includes no file of {branch}/")
    return found


def expand(branch: str) -> str:
    """Return what sql/install.sql runs for `branch`, as one script."""
    scripts = [path.read_text("utf-8").strip() for path in listed(branch)]
    return "\n\n".join(scripts) + "\n"


def check(script: str, name: str) -> None:
    """Refuse a script that would not reach the database as it is written."""
    from sqlalchemy import text

    taken = sorted(text(script).compile().params)
    if taken:
        raise SystemExit(f"{name}: SQLAlchemy takes these for parameters: :{', :'.join(taken)}")
    if "\\:" in script:
        raise SystemExit(f"{name}: SQLAlchemy would drop the backslash of \\:")


def sums() -> dict[str, str]:
    """Return the checksums of the released files, by name."""
    lines = SUMS.read_text("utf-8").splitlines() if SUMS.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def first(branch: str) -> Path:
    """Return the .up.sql of the branch's first migration."""
    return next(VERSIONS.glob(f"{branch}_0001_*.py")).with_suffix(".up.sql")


def check_draft(branch: str) -> None:
    """Refuse a first migration that is not what sql/ says, while it is not released."""
    path = first(branch)
    if path.name not in sums() and path.read_text("utf-8") != expand(branch):
        raise SystemExit(f"{path.relative_to(ROOT)} is not what sql/ says: run `make draft`.")


def draft(branch: str) -> None:
    """Write the .up.sql of the branch's first migration from sql/, while it is not released."""
    path = first(branch)
    if path.name in sums():
        raise SystemExit(f"{path.name} is released and stays as it is; make a new migration.")
    script = expand(branch)
    check(script, path.name)
    path.write_text(script, "utf-8")
    print(path.relative_to(ROOT))


def new(branch: str, message: str) -> None:
    """Make the three files of the branch's next migration."""
    # Loaded here: the checks before a commit or a release take none of it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    scripts = ScriptDirectory.from_config(config)
    newest = scripts.get_revision(f"{branch}@head").revision
    number = int(newest.removeprefix(f"{branch}_")) + 1
    made = command.revision(
        config, message=message, head=f"{branch}@head", rev_id=f"{branch}_{number:04d}"
    )
    if made is None or isinstance(made, list):
        raise SystemExit(f"Alembic made no revision on {branch}.")
    module = Path(made.path)
    module.with_suffix(".up.sql").write_text(
        f"-- {message}: the changes to sql/, `alter table` by hand, functions and views whole.\n",
        "utf-8",
    )
    module.with_suffix(".down.sql").write_text(
        f"-- Undoes {module.stem}: what sql/ said before (git show HEAD:sql/...).\n", "utf-8"
    )


def migration_files() -> list[Path]:
    """Return the files of all migrations, by name."""
    return sorted(p for p in VERSIONS.iterdir() if p.suffix in (".py", ".sql", ".jsonl"))


def check_sealed() -> None:
    """Refuse migrations whose checksums are not noted, or are others."""
    known = sums()
    if open_ones := [p.name for p in migration_files() if known.get(p.name) != digest(p)]:
        raise SystemExit(f"Not sealed: {', '.join(open_ones)}. Run `make seal` and commit.")


def seal() -> None:
    """Add the files of new migrations to SHA256SUMS: from now on they are never edited."""
    known = sums()
    files = migration_files()
    for path in files:
        if path.name in known and known[path.name] != digest(path):
            raise SystemExit(f"{path.name} is released and was edited: undo that.")
        if path.name.endswith(".sql"):
            check(path.read_text("utf-8"), path.name)
    SUMS.write_text("".join(f"{digest(p)}  {p.name}\n" for p in files), "utf-8")


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("new", help="make the three files of the next migration")
    verb.add_argument("message")
    verb.add_argument("--branch", choices=BRANCHES, default="audit")
    verb = verbs.add_parser("draft", help="write the first .up.sql of every branch from sql/")
    verb.add_argument("--check", action="store_true", help="only say whether it is up to date")
    verb = verbs.add_parser("expand", help="print what sql/install.sql runs for a branch")
    verb.add_argument("branch", choices=BRANCHES)
    verb = verbs.add_parser("seal", help="note the checksums of all migrations: they are released")
    verb.add_argument("--check", action="store_true", help="only say whether they are noted")
    given = parser.parse_args()
    match given.verb:
        case "new":
            new(given.branch, given.message)
        case "draft":
            for branch in BRANCHES:
                (check_draft if given.check else draft)(branch)
        case "expand":
            sys.stdout.write(expand(given.branch))
        case "seal":
            (check_sealed if given.check else seal)()


if __name__ == "__main__":
    main()
