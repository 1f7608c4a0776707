"""Compares what is installed with what auditdb installs: each difference, and what repairs it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auditdb._upkeep import mending
from auditdb._upkeep.facts import Key
from auditdb._upkeep.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from auditdb._upkeep.facts import Facts

_CODE = frozenset({"code_changed", "code_extra", "code_shadowed"})

OWNER = "<owner>"
"""Who owns the log, in facts."""

REPAIR = "auditdb upgrade --repair"
"""The command that puts code, views and rights back."""

_LAYOUT = re.compile(r"audit\.layout_\d+(_(values|text)\(.*\))?")
_OURS = ("audit_reader", "audit_exporter", "audit_maintainer", "audit_writer", "audit_lookup")
_WORDS = {"body": "its body", "definition": "its definition", "reads": "what it reads"}
_MANY = 5


def is_of_code(finding: Finding) -> bool:
    """Return whether after this finding functions of schema audit are not to be called."""
    if finding.finding == "owner_changed":
        return finding.object.startswith(("function ", "schema ", "audit.log"))
    return finding.severity == "error" and finding.finding in _CODE


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not as installed: `was` is what was installed, `now` what is found."""

    key: Key
    was: str | None
    now: str | None

    def __str__(self) -> str:
        trait = _WORDS.get(self.key.trait, self.key.trait) or "it"
        if self.was is None:
            return f"{trait} is new ({self.now})" if self.now else f"{trait} is new"
        if self.now is None:
            return f"{trait} is gone"
        if self.key.trait in _WORDS:
            return f"{trait} is another"
        return f"{trait} is ({self.now}), not ({self.was})"


def differences(installed: Facts, found: Facts) -> Iterator[Difference]:
    """Yield what differs in the facts that are `found` from those that were `installed`.

    Rights of roles that are not there, and event triggers, which take a superuser, may be missing.
    """
    roles = {key.object for key in found if key.kind == "role"}
    expected = {k: v for k, v in installed.items() if k.kind != "partition"}
    partitions = {key.object for key in found if key.kind == "partition"}
    log = Key("relation", "audit.log", "")
    for key, value in installed.items():
        if key.kind == "partition":
            expected |= {key._replace(object=name): value for name in partitions}
    for key in sorted(expected.keys() | found.keys()):
        was, now = expected.get(key), found.get(key)
        if was == now or key.kind == "version":
            continue
        if now is None and not _must_be(key, roles, found):
            continue
        constraint = key._replace(trait=key.trait.replace("index ", "constraint ", 1))
        if constraint != key and constraint in expected.keys() | found.keys():
            continue  # it comes and goes with its constraint
        of_log = log._replace(trait=key.trait)
        is_of_log = key.kind == "partition" and found.get(of_log) == now != expected.get(of_log)
        if is_of_log:
            continue  # what partitions have from the log is told of the log alone
        yield Difference(key, was, now)


def _must_be(key: Key, roles: set[str], found: Facts) -> bool:
    """Return whether something that was installed has to be there."""
    if key.kind in ("event trigger", "role"):
        return False
    # A log that psql installed has no audit.alembic_version, so nobody has a right on it.
    if key.kind in ("grant", "owner") and not _is_there(key.object, found):
        return False
    if key.kind == "grant" and key.trait in _OURS:
        return key.trait in roles
    if key.trait.startswith("policy "):
        role = key.trait.removeprefix("policy ").removesuffix("_policy")
        return role == "account" or f"audit_{role}" in roles
    return key.object != "audit.alembic_version"


def _is_there(thing: str, found: Facts) -> bool:
    """Return whether what somebody owns, or has a right on, exists at all."""
    if thing.startswith("function "):
        return Key("function", thing.removeprefix("function "), "signature") in found
    if thing.startswith("type "):
        return Key("type", thing.removeprefix("type "), "kind") in found
    return thing.startswith("schema ") or Key("relation", thing, "kind") in found


def findings(
    installed: Facts, found: Facts, compiled: frozenset[str] | None, *, is_alone: bool = False
) -> Iterator[Finding]:
    """Yield a finding for each object that is not as installed, with what repairs it.

    `compiled` are the names of functions that were compiled; None where they are not known. Rights
    on the log and its partitions are left to audit.check(), unless this `is_alone`.
    """
    owner = found.get(Key("version", "owner", ""), OWNER)
    for one in _findings(installed, found, compiled, is_alone=is_alone):
        yield replace(
            one,
            message=one.message.replace(OWNER, owner),
            mend=one.mend.replace(OWNER, owner),
        )


def _findings(
    installed: Facts, found: Facts, compiled: frozenset[str] | None, *, is_alone: bool
) -> Iterator[Finding]:
    grouped: dict[tuple[str, str, str], list[Difference]] = defaultdict(list)
    extra: set[str] = set()
    for difference in differences(installed, found):
        key = difference.key
        if key.kind == "grant":
            continue
        if _is_whole(key, installed):
            if key.kind != "owner" and key.object not in extra:
                extra.add(key.object)
                yield from _extra(key, installed, found, compiled)
        elif placed := _place(difference):
            grouped[placed].append(difference)
    for (code, severity, thing), group in grouped.items():
        yield Finding(code, severity, thing, _message(code, group), _mend(group))
    left = set() if is_alone else {k.object for k in found if k.kind == "partition"} | {"audit.log"}
    yield from _grants(differences(installed, found), installed, left)


def _is_whole(key: Key, installed: Facts) -> bool:
    """Return whether a whole object of this kind is not one of those that were installed."""
    identity = {"function": "signature", "relation": "kind", "type": "kind"}.get(key.kind)
    if key.kind == "owner":
        identity = ""
    if key.kind == "view":
        return Key("relation", key.object, "kind") not in installed
    return identity is not None and Key(key.kind, key.object, identity) not in installed


def _extra(
    key: Key, installed: Facts, found: Facts, compiled: frozenset[str] | None
) -> Iterator[Finding]:
    name = key.object
    if _LAYOUT.fullmatch(name):
        return
    if key.kind == "function":
        bare = name.partition("(")[0]
        is_overload = any(k.object.startswith(f"{bare}(") for k in installed)
        if not is_overload and (compiled is None or bare.removeprefix("audit.") in compiled):
            return
        yield Finding(
            "code_extra", "error" if is_overload else "warning", name,
            "The function is not one of auditdb" + (
                ", and could be called in place of one that is." if is_overload else "."),
            f"drop function {name};",
        )  # fmt: skip
        return
    what = found.get(Key(key.kind, name, "kind"), "type")
    columns = {k for k in installed if k.object == "audit.log" and k.trait.startswith("column")}
    if what == "table" and all(
        key._replace(kind="relation", trait=k.trait) in found
        for k in columns
        if k.trait.count(" ") == 1
    ):
        yield Finding(
            "partition_detached", "info", name,
            "The table was a partition of the log: its rows are not in the log any more.", "",
        )  # fmt: skip
        return
    yield Finding(
        "code_extra", "warning", name, f"The {what} is not one of auditdb.", f"drop {what} {name};"
    )


def _place(one: Difference) -> tuple[str, str, str] | None:
    """Return code, severity and object of the finding that a difference belongs to."""
    key = one.key
    family = key.trait.partition(" ")[0]
    label = key.trait.partition(" ")[2]
    is_partition = key.kind == "partition"
    simple = {
        "function": ("code_changed", "error"),
        "view": ("code_changed", "error"),
        "type": ("code_changed", "error"),
        "owner": ("owner_changed", "error"),
        "event trigger": ("event_trigger_changed", "error"),
        "default rights": ("default_rights", "warning"),
        "shadow": ("code_shadowed", "error"),
        "setting": ("event_triggers_off", "warning"),
    }
    if key.kind in simple and key.trait != "state":
        thing = f"{key.object} to {key.trait}" if key.kind == "default rights" else key.object
        return *simple[key.kind], thing
    if key.kind == "event trigger" and key.trait == "state":
        return "event_trigger_disabled", "error", key.object
    if key.kind == "role":
        is_strict = key.object in ("audit_writer", "audit_lookup")
        return "role_powers", "error" if is_strict else "warning", key.object
    if family in ("trigger", "rule"):
        code = "trigger_extra" if one.was is None else "guard_changed"
        return code, "error", f"{label} on {key.object}"
    if family == "policy":
        if one.was is None and (is_partition or key.object == "audit.log"):
            return None  # audit.check() tells those that show more from those that show less
        code = "policy_extra" if one.was is None else "policy_missing"
        return code, "error", f"{label} on {key.object}"
    if family == "index":
        return _index(one)
    if key.trait == "options" and "security_invoker=" in (one.was or ""):
        return "view_bypasses", "error", key.object
    if key.trait == "row security" and "disabled" in (one.now or ""):
        return "row_security_missing", "error", key.object
    if key.trait == "persistence" and (is_partition or key.object == "audit.log"):
        return "log_unlogged", "error", key.object
    if key.trait == "options":
        return "options_changed", "info", key.object
    if family == "sequence":
        return "sequence_changed", "error", key.object
    return "partition_changed" if is_partition else "table_changed", "error", key.object


def _index(one: Difference) -> tuple[str, str, str] | None:
    name = one.key.trait.removeprefix("index ")
    schema = one.key.object.partition(".")[0]
    if one.was is not None:
        if one.now and one.now.endswith(" invalid"):
            return None  # audit.check() tells how to mend it
        is_key = "UNIQUE" in one.was
        return "index_missing", "error" if is_key else "warning", f"{schema}.{name}"
    # Plain ones of a DBA's own do nothing but find rows.
    if one.now and ("UNIQUE" in one.now or "((" in one.now or " WHERE " in one.now):
        return "index_extra", "warning", f"{schema}.{name}"
    return None


def _message(code: str, group: list[Difference]) -> str:
    said = "; ".join(str(one) for one in group[:_MANY])
    more = f"; and {len(group) - _MANY} more" if len(group) > _MANY else ""
    if all(one.now is None for one in group) and code == "code_changed":
        return "It is gone."
    return f"It is not as auditdb installed it: {said}{more}."


def _mend(group: list[Difference]) -> str:
    statements: dict[str, None] = {}
    for one in group:
        statements |= dict.fromkeys(mending.statements(one.key, one.was, one.now))
    return " ".join(statements) or REPAIR


def _grants(
    all_of_them: Iterable[Difference], installed: Facts, left: set[str]
) -> Iterator[Finding]:
    """Yield what somebody may do, or may not, that was not so; a finding for each of them."""
    by_role: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for verb, role, privilege, thing in rights(all_of_them, installed):
        if not {thing, thing.rpartition(".")[0]} & left:
            by_role[verb, role].append((privilege, thing))
    for (verb, role), those in by_role.items():
        mend = _granting(verb, role, those)
        if verb == "revoke":
            said = f"{role} may do what auditdb lets nobody do: {_listed(those)}."
            is_reading = role != "public" and {privilege for privilege, _ in those} == {"select"}
            yield Finding("grant_extra", "warning" if is_reading else "error", role, said, mend)
        else:
            severity = "error" if role == "public" else "warning"
            said = f"{role} lacks rights that auditdb gives: {_listed(those)}."
            yield Finding("grant_missing", severity, role, said, mend)


def rights(
    all_of_them: Iterable[Difference], installed: Facts
) -> Iterator[tuple[str, str, str, str]]:
    """Yield what is to be revoked or granted: verb, role, privilege, and on what."""
    for one in all_of_them:
        role, thing = one.key.trait, one.key.object
        if one.key.kind != "grant" or _is_new(thing, installed):
            continue
        was, now = _privileges(one.was), _privileges(one.now)
        for privilege in sorted(now - was - _given_to_readers(one.key, installed)):
            yield "revoke", role, privilege, thing
        for privilege in sorted(was - now):
            yield "grant", role, privilege, thing


def _is_new(thing: str, installed: Facts) -> bool:
    """Return whether a right is on a function or type that is not one of auditdb."""
    kind, _, name = thing.partition(" ")
    if kind == "function":
        return Key("function", name, "signature") not in installed
    return kind == "type" and Key("type", name, "kind") not in installed


def _privileges(listed: str | None) -> set[str]:
    return set(listed.split(", ")) if listed else set()


def _given_to_readers(key: Key, installed: Facts) -> set[str]:
    """Return what readers, exporters and maintainers may do, which may be given to others too."""
    if key.trait in ("public", *_OURS):
        return set()
    allowed = set[str]()
    # A right on a column is one on a part of what is there.
    things = (key.object, key.object.rpartition(".")[0])
    for role in ("public", *_OURS[:3]):
        for thing in things:
            allowed |= _privileges(installed.get(Key("grant", thing, role)))
    if key.object.startswith("function "):
        attributes = installed.get(
            Key("function", key.object.removeprefix("function "), "attributes"), ""
        )
        # What runs with the rights of who calls it gives none.
        if "security invoker" in attributes:
            allowed.add("execute")
    return allowed


def _listed(those: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{privilege} on {thing}" for privilege, thing in those[:_MANY])
    return shown + (f" and {len(those) - _MANY} more" if len(those) > _MANY else "")


def _granting(verb: str, role: str, those: list[tuple[str, str]]) -> str:
    if len(those) > _MANY:
        return REPAIR
    return " ".join(mending.granting(verb, role, privilege, thing) for privilege, thing in those)
