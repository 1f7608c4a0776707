"""Which rows of the log somebody wants, as conditions that SQL and files can be held against."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg import sql


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of the log are wanted; by default all."""

    account: str | None = None
    """The account_id."""
    item: tuple[str, str] | None = None
    """Type and id of an item: the rows about it and about its parts."""
    actions: tuple[str, ...] = ()
    """The codes of the actions, any of them."""
    actor: tuple[str, str | None] | None = None
    """Type and id of the actor; without an id all actors of the type."""
    since: datetime | None = None
    """The earliest time (with a time zone), itself included."""
    until: datetime | None = None
    """The latest time (with a time zone), itself not included."""

    def conditions(self) -> list[sql.Composable]:
        """Return the conditions on columns of the log, with their values in them."""
        found: list[sql.Composable] = []
        if self.account is not None:
            found.append(sql.SQL("l.account_id = {}").format(self.account))
        if self.item is not None:
            found.append(
                sql.SQL(
                    "((l.item_type = {0} and l.item_id = {1})"
                    " or (l.parent_type = {0} and l.parent_id = {1}))"
                ).format(*self.item)
            )
        if self.actions:
            found.append(sql.SQL("l.action = any({})").format(list(self.actions)))
        if self.actor is not None:
            kind, number = self.actor
            found.append(sql.SQL("l.actor_type = {}").format(kind))
            if number is not None:
                found.append(sql.SQL("l.actor_id = {}").format(number))
        for sign, moment in ((">=", self.since), ("<", self.until)):
            if moment is not None:
                at = moment.astimezone(UTC).isoformat()
                found.append(sql.SQL("l.occurred_at {} {}::timestamptz").format(sql.SQL(sign), at))
        return found

    def as_json(self) -> dict[str, Any]:
        """Return what is wanted as a manifest says it: a key for each condition, null for none."""
        return {
            "account_id": self.account,
            "item": None if self.item is None else ":".join(self.item),
            "actions": sorted(self.actions) or None,
            "actor": None if self.actor is None else ":".join(p for p in self.actor if p),
            "since": _iso(self.since),
            "until": _iso(self.until),
        }


def all_of(conditions: list[sql.Composable]) -> sql.Composable:
    """Return the conjunction of `conditions`; true where there is none."""
    return sql.SQL(" and ").join(conditions) if conditions else sql.SQL("true")


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
