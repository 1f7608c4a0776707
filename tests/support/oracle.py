"""A second opinion on the log: which rows a change of the core tables owes it, in plain Python.

Nothing here reads the database or what is declared in it. A table is a dict of rows by key; a
statement is a list of effects, one for each row that it inserts, updates or deletes. Values are
written as `changes` writes them, so that they compare as they are.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.core_tables import REFERENCES, TABLES, Key, Row, Tables, View

Changes = dict[str, dict[str, Any]]


class Refused(Exception):
    """A foreign key does not let these rows go."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts in a transaction."""

    type: str
    id: str
    label: str | None = None
    context: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one row of the log says, but for its id, its time and its transaction."""

    account: str
    action: str
    item: str
    label: str | None
    parent: str | None = None
    is_cascade: bool = False
    changes: Changes | None
    actor: Actor

    def __str__(self) -> str:
        actor = f"{self.actor.type}:{self.actor.id} {self.actor.label!r} {text(self.actor.context)}"
        return (
            f"{self.action} of {self.item} {self.label!r} in account {self.account!r}"
            f"{f' below {self.parent}' if self.parent else ''}"
            f"{' by cascade' if self.is_cascade else ''}, by {actor}: {text(self.changes)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A row of a table that a statement inserted (no old), updated, or deleted (no new)."""

    table: str
    old: Row | None = None
    new: Row | None = None
    is_cascade: bool = False

    @property
    def row(self) -> Row:
        """The row as it is now, or as it was before it went."""
        row = self.old if self.new is None else self.new
        assert row is not None
        return row

    @property
    def event(self) -> Literal["insert", "update", "delete"]:
        """What happened to the row."""
        if self.old is None:
            return "insert"
        return "delete" if self.new is None else "update"


def text(value: object) -> str:
    """Return a value as JSON in one spelling, in which true is not 1."""
    return json.dumps(value, sort_keys=True)


def apply(tables: Tables, effects: Iterable[Effect]) -> Tables:
    """Return the tables after a statement; those given stay as they are."""
    changed = {name: dict(rows) for name, rows in tables.items()}
    for effect in effects:
        if effect.old is not None:
            del changed[effect.table][TABLES[effect.table].key_of(effect.old)]
        if effect.new is not None:
            changed[effect.table][TABLES[effect.table].key_of(effect.new)] = effect.new
    return changed


def deletion(tables: Tables, name: str, keys: Iterable[Key]) -> list[Effect]:
    """Return what the deletion of some rows does, to the rows that refer to them too.

    Raises:
        Refused: if one of them is needed by a row that stays.
    """
    effects = [Effect(table=name, old=tables[name][key]) for key in keys]
    for effect in effects:  # grows while it is read: cascades cascade
        effects += [follow for follow in _follow(tables, effect) if follow not in effects]
    left = apply(tables, effects)
    for child, column, parent, _ in REFERENCES:
        needed = {row[column] for row in left[child].values()} - {None}
        if any((key,) not in left[parent] for key in needed):
            raise Refused(f"{child} still refers to {parent}")
    return effects


def _follow(tables: Tables, effect: Effect) -> Iterator[Effect]:
    """Yield what the foreign keys do at once when a row is deleted."""
    if effect.new is not None:
        return
    for child, column, parent, on_delete in REFERENCES:
        if parent != effect.table or on_delete == "refuse":
            continue
        for row in tables[child].values():
            if row[column] == effect.row["id"]:
                if on_delete == "cascade":
                    yield Effect(table=child, old=row, is_cascade=True)
                else:
                    yield Effect(table=child, old=row, new={**row, column: None})


def predict(before: Tables, effects: Iterable[Effect], actor: Actor) -> list[Entry]:
    """Return the rows that the log owes to one statement.

    Where several parts make one row, a statement that inserts some, updates others and deletes
    yet others (an upsert, a MERGE) makes one row for each of the three.
    """
    effects = list(effects)
    view = View(before, apply(before, effects))
    entries: list[Entry] = []
    groups: dict[tuple[object, ...], Entry] = {}
    for effect in effects:
        for entry in _entries(view, effect, actor):
            if not TABLES[effect.table].is_grouped:
                entries.append(entry)
                continue
            group = (effect.table, effect.event, entry.item, entry.is_cascade)
            known = groups.setdefault(group, entry)
            known.changes.update(entry.changes)  # type: ignore[union-attr, arg-type]
    return [*entries, *groups.values()]


def truncation(names: Iterable[str], actor: Actor) -> list[Entry]:
    """Return the rows that the log owes to the truncation of some tables."""
    return [
        Entry(
            account="",
            action="table_truncated",
            item=f"table:licensing.{name}",
            label=f"licensing.{name}",
            changes=None,
            actor=actor,
        )
        for name in names
        if TABLES[name].item
    ]


def truncated(name: str) -> list[str]:
    """Return the tables that a truncation with cascade empties."""
    names = [name]
    for known in names:  # grows while it is read
        names += dict.fromkeys(
            child for child, _, parent, _ in REFERENCES if parent == known and child not in names
        )
    return names


def _entries(view: View, effect: Effect, actor: Actor) -> Iterator[Entry]:
    """Yield the rows that one row's fate makes, before those of a group are put together."""
    subject = TABLES[effect.table]
    for action, changes in _actions(view, effect):
        for account in subject.accounts(view, effect.row):
            yield Entry(
                account=str(account),
                action=action,
                item=f"{subject.item}:{effect.row[subject.item_id]}",
                label=subject.label(view, effect.row),
                parent=subject.parent and f"{subject.parent[0]}:{effect.row[subject.parent[1]]}",
                is_cascade=effect.is_cascade,
                changes=changes,
                actor=actor,
            )


def _actions(view: View, effect: Effect) -> Iterator[tuple[str, Changes]]:
    """Yield the actions that one row's fate means, each with what changed."""
    subject = TABLES[effect.table]
    old, new = effect.old, effect.new
    action = subject.actions.get(effect.event)
    if old is None or new is None:
        if action is not None:
            yield action, _changes(view, effect, subject.columns)
        return
    left = [column for column in subject.columns if text(old[column]) != text(new[column])]
    for claim in subject.claims:
        taken = [column for column in left if column in claim.columns]
        if taken and claim.when(old, new):
            left = [column for column in left if column not in taken]
            yield claim.action, _changes(view, effect, taken)
    if action is not None and left:
        if subject.is_grouped and subject.key_of(old) != subject.key_of(new):
            yield (
                action,
                {  # another part took the place of this one
                    **_changes(view, Effect(table=effect.table, old=old), subject.columns),
                    **_changes(view, Effect(table=effect.table, new=new), subject.columns),
                },
            )
        else:
            yield action, _changes(view, effect, left)


def _changes(view: View, effect: Effect, columns: Iterable[str]) -> Changes:
    """Return the changes of these columns, by path if the row is a part of its item."""
    subject = TABLES[effect.table]
    named = list(columns)
    if subject.part and effect.event == "update":
        named += [
            column
            for column in subject.key
            if column not in (*named, subject.item_id, subject.name_column)
        ]
    sides = {"old": effect.old, "new": effect.new}
    prefix = ""
    if subject.part:
        name = subject.part_name(view, effect.row).replace("~", "~0").replace("/", "~1")
        prefix = f"{subject.part}/{name}/"
    return {
        prefix + column: {"redacted": True}
        if column == subject.secret
        else {side: row[column] for side, row in sides.items() if row is not None}
        for column in named
    }
