"""The names of the actions that exported rows are about, so that they have them elsewhere too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from auditdb._export.formats.documents import is_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

_QUERY = """
select a.action, a.label, a.description
from audit.action as a
where a.action = any (%s)
order by a.action
"""
_ADD = """
insert into audit.action (action, label, description)
select n.action, n.label, n.description
from jsonb_to_recordset(%s) as n (action text, label text, description text)
on conflict (action) do nothing
"""


@dataclass(frozen=True, slots=True)
class ActionName:
    """An action with its name, as audit.action has it."""

    action: str
    label: str
    description: str

    def as_json(self) -> dict[str, str]:
        """Return what all_from_json() reads."""
        return asdict(self)


def read(connection: psycopg.Connection[Any], actions: Sequence[str]) -> tuple[ActionName, ...]:
    """Return the names of actions, of those that have one."""
    return tuple(ActionName(*row) for row in connection.execute(_QUERY, [list(actions)]))


def add(connection: psycopg.Connection[Any], names: Sequence[ActionName]) -> None:
    """Give actions their names where they have none."""
    connection.execute(_ADD, [Jsonb([one.as_json() for one in names])])


def all_from_json(found: Any) -> tuple[ActionName, ...]:
    """Return the names in a manifest; raises ValueError where there are others."""
    try:
        names = tuple(ActionName(**one) for one in found)
    except TypeError as error:
        raise ValueError("its actions are no names of actions") from error
    texts = [text for one in names for text in one.as_json().values()]
    if not all(map(is_text, texts)):
        raise ValueError("an action has a name that is none")
    if len({one.action for one in names}) != len(names):
        raise ValueError("it names an action twice")
    return names
