"""The statements that bring a fact of the catalogue back to what was installed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditdb._upkeep.facts import Key

_TRIGGER = re.compile(r"create (constraint )?trigger (.*?)(?: (always|disabled|in replicas))?")


def granting(verb: str, role: str, privilege: str, thing: str) -> str:
    """Return the statement that grants or revokes a privilege, as facts name it."""
    column = re.fullmatch(r'((?:"[^"]*"|[^".]+)\.(?:"[^"]*"|[^".]+))\.(.+)', thing)
    what = privilege.removesuffix(" with grant option")
    option = "grant option for " if what != privilege and verb == "revoke" else ""
    if column and not thing.startswith(("function ", "type ", "schema ")):
        what, thing = f"{what} ({column[2]})", column[1]
    by = "from" if verb == "revoke" else "to"
    return f"{verb} {option}{what} on {thing} {by} {role};"


def statements(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    """Yield the statements that repair a difference; none where the migration's text does it."""
    if key.kind == "owner":
        kind = "" if key.object.startswith(("function ", "schema ", "type ")) else "table "
        yield f"alter {kind}{key.object} owner to <owner>;"
    elif key.kind == "event trigger":
        dropped = f"drop event trigger {key.object}; " if key.trait == "definition" else ""
        yield f"{dropped}select audit.follow_ddl();"
    elif key.kind == "default rights":
        role, _, owner = key.trait.partition(" of ")
        yield (
            f"alter default privileges for role {owner} in schema audit revoke all on {key.object} "
            f"from {role};"
        )
    elif key.kind == "shadow":
        yield f"drop {key.object};"
    elif key.kind == "setting":
        yield from _setting(key.object)
    elif key.kind == "role":
        yield from _role(key.object, now or "")
    elif key.kind == "type":
        yield from _attribute(key, was, now)
    elif key.kind in ("relation", "partition"):
        family = key.trait.partition(" ")[0]
        yield from _RELATION.get(family, _none)(key, was, now)


def _none(key: Key, was: str | None, now: str | None) -> Iterator[str]:  # noqa: ARG001
    yield from ()


def _setting(place: str) -> Iterator[str]:
    role, _, database = place.partition("database ")
    role = role.removesuffix(" in ").removesuffix(" ")
    if role and database:
        yield f"alter {role} in database {database} reset event_triggers;"
    else:
        yield f"alter {role or f'database {database}'} reset event_triggers;"


def _role(name: str, powers: str) -> Iterator[str]:
    for power in filter(None, powers.split(", ")):
        if power.startswith("member of "):
            yield f"revoke {power.removeprefix('member of ')} from {name};"
        else:
            yield f"alter role {name} no{power};"


def _owner(key: Key, was: str | None, now: str | None) -> Iterator[str]:  # noqa: ARG001
    yield f"alter table {key.object} owner to {was};"


def _persistence(key: Key, was: str | None, now: str | None) -> Iterator[str]:  # noqa: ARG001
    yield f"alter table {key.object} set {was};"


def _row_security(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    if "enabled" in (was or "") and "disabled" in (now or ""):
        yield f"alter table {key.object} enable row level security;"
    if "disabled" in (was or "") and "enabled" in (now or ""):
        yield f"alter table {key.object} disable row level security;"
    if "forced" in (now or ""):
        yield f"alter table {key.object} no force row level security;"


def _options(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    old, new = (set(filter(None, (v or "").split(", "))) for v in (was, now))
    if lost := sorted(old - new):
        yield f"alter table {key.object} set ({', '.join(lost)});"
    names = {option.partition("=")[0] for option in old}
    if more := sorted({o.partition("=")[0] for o in new - old} - names):
        yield f"alter table {key.object} reset ({', '.join(more)});"


def _column(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    found = re.fullmatch(r'column ("(?:[^"]|"")+"|\S+) ?(.*)', key.trait)
    if found is None:
        return
    name, trait = found[1], found[2]
    change = f"alter table {key.object} alter column {name}"
    if trait == "default":
        yield f"{change} set default {was};" if was else f"{change} drop default;"
    elif trait == "storage":
        yield f"{change} set storage {_STORAGE.get(was or '', 'default')};"
    elif trait == "statistics":
        yield f"{change} set statistics {was or -1};"
    elif trait:
        return
    elif was is None:
        yield f"alter table {key.object} drop column {name};"
    elif now is None:
        yield f"alter table {key.object} add column {name} {was};"
    else:
        yield from _retyped(change, was, now)


def _attribute(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    name = key.trait.removeprefix("column ")
    if " " in name or name == key.trait:
        return
    if was is None:
        yield f"alter type {key.object} drop attribute {name};"
    elif now is None:
        yield f"alter type {key.object} add attribute {name} {was};"
    else:
        yield f"alter type {key.object} alter attribute {name} type {was};"


_STORAGE = {"p": "plain", "e": "external", "m": "main", "x": "extended"}


def _retyped(change: str, was: str, now: str) -> Iterator[str]:
    old, new = (value.removesuffix(" not null") for value in (was, now))
    if old != new:
        yield f"{change} type {old};"
    if was.endswith(" not null") and not now.endswith(" not null"):
        yield f"{change} set not null;"
    if now.endswith(" not null") and not was.endswith(" not null"):
        yield f"{change} drop not null;"


def _constraint(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    name = key.trait.removeprefix("constraint ")
    if now is not None and was == now.removesuffix(" not valid"):
        yield f"alter table {key.object} validate constraint {name};"
        return
    if now is not None:
        yield f"alter table {key.object} drop constraint {name};"
    if was is not None:
        yield f"alter table {key.object} add constraint {name} {was};"


def _index(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    name = key.trait.removeprefix("index ")
    schema = key.object.partition(".")[0]
    # Those of a constraint come and go with it, those of a partition with the log's.
    if name.endswith(("_pkey", "_key")) and was is not None:
        return
    if now is not None and now != "attached":
        yield f"drop index {schema}.{name};"
    if was is not None and was != "attached":
        ddl = was.replace(" <index> ", f" {name} ", 1).replace(" <table> ", f" {key.object} ", 1)
        yield f"{ddl[0].lower()}{ddl[1:]};"


def _trigger(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    name = key.trait.removeprefix("trigger ")
    made = _TRIGGER.fullmatch(was or "")
    state = (now or "").rpartition(" ")[2] if now else ""
    there = _TRIGGER.fullmatch(now or "")
    is_same = made is not None and there is not None and there[2] == made[2]
    if not is_same:
        if now is not None:
            yield f"drop trigger {name} on {key.object};"
        if made is not None:
            yield f"create trigger {made[2].replace('<table>', key.object)};"
    if made is not None and made[3] == "always" and not (is_same and state == "always"):
        yield f"alter table {key.object} enable always trigger {name};"


def _rule(key: Key, was: str | None, now: str | None) -> Iterator[str]:  # noqa: ARG001
    yield f"drop rule {key.trait.removeprefix('rule ')} on {key.object};"


def _policy(key: Key, was: str | None, now: str | None) -> Iterator[str]:
    name = key.trait.removeprefix("policy ")
    if now is not None:
        yield f"drop policy {name} on {key.object};"
    if was is not None:
        yield f"create policy {name} on {key.object} {was};"


def _sequence(key: Key, was: str | None, now: str | None) -> Iterator[str]:  # noqa: ARG001
    if was is not None:
        terms = was.partition(" owned by ")[0]
        cycle = "" if " cycle" in terms else " no cycle"
        yield f"alter sequence {key.object} {terms}{cycle};"


def _children(key: Key, was: str | None, now: str | None) -> Iterator[str]:  # noqa: ARG001
    for child in filter(None, (now or "").split(", ")):
        yield f"alter table {child} no inherit {key.object};"


def _inherits(key: Key, was: str | None, now: str | None) -> Iterator[str]:  # noqa: ARG001
    for parent in filter(None, (now or "").split(", ")):
        yield f"alter table {key.object} no inherit {parent};"


_RELATION: dict[str, Callable[[Key, str | None, str | None], Iterator[str]]] = {
    "owner": _owner,
    "persistence": _persistence,
    "row": _row_security,
    "options": _options,
    "column": _column,
    "constraint": _constraint,
    "index": _index,
    "trigger": _trigger,
    "rule": _rule,
    "policy": _policy,
    "sequence": _sequence,
    "children": _children,
    "inherits": _inherits,
}
