"""Puts back what auditdb installed: code and views from the migrations, tables by statements."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg

from auditdb._connection.runner import helper
from auditdb._upkeep import database, facts, mending, migrate, patience, revisions, tampering
from auditdb._upkeep.facts import Key
from auditdb.errors import AuditError, MigrationFailed, translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from auditdb._connection.runner import Reading
    from auditdb._upkeep.facts import Facts
    from auditdb._upkeep.tampering import Difference

# What ends a statement, and what a semicolon in it does not end.
_TOKEN = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$(\w*)\$.*?\$\1\$|;|[^'\"$;-]+|.", re.DOTALL
)
_MADE = re.compile(r"(?:create or replace|comment on) (?:function|view) audit\.(\w+)")
# As guard.sql does, so that no upgrade is under way meanwhile.
_LOCK = "lock table audit.alembic_version in share row exclusive mode"
_AFTER = (
    "select audit.follow_ddl()",
    "select audit.grant_rights()",
    "select audit.derive_layouts()",
    "select audit.refresh()",
)
# Done by hand: columns hold data, roles and settings are of others too.
_BY_HAND = frozenset({"grant", "role", "setting", "shadow", "version"})


def run(url: str) -> tuple[str, ...]:
    """Repair the log of the database at `url` as repair() does.

    Raises LogBusy, which says for whom it waited, where others hold locks for too long.
    """
    with patience.Witness(url) as witness, database.connect(url, accept="any") as connection:
        witness.process = connection.info.backend_pid
        try:
            return repair(connection)
        except AuditError as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise witness.gave_up(error.__cause__) from error.__cause__
            raise


def repair(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Put back what is not as it was installed, in one transaction; return the objects in question.

    That is code, views, rights, owners, and of tables all but columns and what others added beside
    them: what remains a check tells of. `connection` must be in autocommit mode.

    Raises MigrationFailed where this auditdb does not know the revision of the log, and errors of
    the database as AuditError.
    """
    with translated(), connection.transaction():
        connection.execute("set local search_path = pg_catalog, pg_temp")
        connection.execute(patience.BOUND)
        if connection.execute(migrate.HAS_VERSIONS).fetchone() is not None:
            connection.execute(_LOCK)
        revision, found = _state(connection)
        installed = None if revision is None else facts.shipped(revision)
        if revision is None or installed is None:
            raise MigrationFailed("This auditdb does not know the revision of the log.")
        wrong = _wrong(installed, found)
        owner = found.get(Key("version", "owner", ""), "")
        for statement in _code(wrong, installed, found, revision):
            connection.execute(statement.encode())
        # What was made anew has the rights that everything new has.
        _, found = _state(connection)
        rights = list(tampering.rights(tampering.differences(installed, found), installed))
        granting = (mending.granting(*right) for right in rights)
        for statement in (*_tables(_wrong(installed, found)), *granting, *_AFTER):
            connection.execute(statement.replace(tampering.OWNER, owner).encode())
    names = [*(one.key.object for one in wrong), *(thing for *_, thing in rights)]
    return tuple(dict.fromkeys(name.removeprefix("function ") for name in names))


def _wrong(installed: Facts, found: Facts) -> list[Difference]:
    differences = tampering.differences(installed, found)
    return [one for one in differences if not _is_foreign(one, installed)]


@helper
def _state() -> Reading[tuple[str | None, Facts]]:
    return (yield from facts.pinned(_asked()))


def _asked() -> Reading[tuple[str | None, Facts]]:
    found = yield from facts.found()
    revision = yield from facts.revision()
    return revision, found


def _is_foreign(one: Difference, installed: Facts) -> bool:
    """Return whether something is not of auditdb, or to be changed by hand alone."""
    key = one.key
    if key.kind in _BY_HAND:
        return True
    if key.kind in ("function", "view", "type", "owner", "relation"):
        bare = key.object.removeprefix("function ").removeprefix("type ")
        if not any(k.object in (bare, key.object) for k in installed):
            return not _is_overload(bare, installed)
    if key.trait.startswith("column ") and key.trait.count(" ") == 1:
        return True
    return key.trait.startswith("policy ") and one.was is None and key.object == "audit.log"


def _is_overload(name: str, installed: Facts) -> bool:
    bare, _, arguments = name.partition("(")
    return bool(arguments) and any(k.object.startswith(f"{bare}(") for k in installed)


def _code(
    wrong: Iterable[Difference], installed: Facts, found: Facts, revision: str
) -> Iterator[str]:
    """Yield what makes functions and views what they were; others in their place go first."""
    names = set[str]()
    dropped = set[str]()
    for one in wrong:
        key = one.key
        thing = key.object.removeprefix("function ")
        if key.kind in ("function", "view"):
            names.add(thing.partition("(")[0].removeprefix("audit."))
        if key.kind != "function" or thing in dropped:
            continue
        is_of_ours = Key("function", thing, "signature") in installed
        is_there = Key("function", thing, "signature") in found
        if is_there and (not is_of_ours or key.trait == "signature"):
            dropped.add(thing)
            yield f"drop function {thing}"
    yield from (text for name, text in _definitions(revision) if name in names)


def _tables(wrong: Iterable[Difference]) -> Iterator[str]:
    statements: dict[str, None] = {}
    for one in wrong:
        if one.key.kind not in ("function", "view"):
            statements |= dict.fromkeys(mending.statements(one.key, one.was, one.now))
    yield from statements


def _definitions(revision: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of what makes functions and views, up to a revision of the log."""
    newest = int(revision.rpartition("_")[2])
    for path in sorted((revisions.directory() / "versions").glob("audit_*.up.sql")):
        if int(path.name.split("_")[1]) <= newest:
            for statement in split(path.read_text("utf-8")):
                if made := _MADE.match(statement):
                    yield made[1], statement


def split(script: str) -> Iterator[str]:
    """Yield the statements of a script, without the comments before each."""
    words: list[str] = []
    for token in _TOKEN.finditer(script):
        text = token[0]
        if text == ";":
            yield "".join(words).strip()
            words = []
        elif not (text.startswith("--") and not "".join(words).strip()):
            words.append(text)
    if last := "".join(words).strip():
        yield last
