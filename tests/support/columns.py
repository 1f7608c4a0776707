"""A plain model of a table whose columns come, go and change their names, and of its history."""

from dataclasses import dataclass, field
from typing import Any

Entry = tuple[Any, Any, str]
"""The value before, the value after, and what the column was called then."""


@dataclass(slots=True)
class Moment:
    """What was true at a time."""

    names: dict[int, str]
    """Of the columns that there were, by their numbers."""
    rows: dict[int, dict[int, Any]]


@dataclass(slots=True)
class Model:
    """The table, what it has been, and what its log must say; columns go by their numbers."""

    names: dict[int, str]
    rows: dict[int, dict[int, Any]] = field(default_factory=dict)
    last_names: dict[int, str] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    """In the order in which they were dropped."""
    entries: dict[tuple[int, int], list[Entry]] = field(default_factory=dict)
    """The history of each column of each item."""
    renamed: list[tuple[str, str]] = field(default_factory=list)

    def insert(self, item: int, values: dict[int, Any]) -> None:
        """Add a row; a column without a value is null."""
        self.rows[item] = {n: values.get(n) for n in self.names}
        for number, value in self.rows[item].items():
            self._note(item, number, None, value)

    def update(self, item: int, number: int, value: Any) -> None:
        """Change a value of a row; to the same one is no change."""
        was = self.rows[item][number]
        if was != value:
            self.rows[item][number] = value
            self._note(item, number, was, value)

    def delete(self, item: int) -> None:
        """Take a row away."""
        for number, was in self.rows.pop(item).items():
            self._note(item, number, was, None)

    def rename(self, number: int, name: str) -> None:
        """Call a column otherwise."""
        self.renamed.append((self.names[number], name))
        self.names[number] = name

    def drop(self, number: int) -> None:
        """Take a column away."""
        self.last_names[number] = self.names.pop(number)
        self.dropped.append(number)
        for row in self.rows.values():
            del row[number]

    def add(self, name: str) -> int:
        """Add a column, null in all rows; return its number, which none had before."""
        number = max([*self.names, *self.last_names]) + 1
        self.names[number] = name
        for row in self.rows.values():
            row[number] = None
        return number

    def moment(self) -> Moment:
        """Return what is true now."""
        return Moment(dict(self.names), {item: dict(row) for item, row in self.rows.items()})

    def names_now(self) -> dict[int, str]:
        """Return what histories call each column: what has a name has it before what had it."""
        found = dict(self.names)
        taken = set(found.values())
        for number in reversed(self.dropped):
            name = self.last_names[number]
            while name in taken:
                name = f"{name}#{number}"
            found[number] = name
            taken.add(name)
        return found

    def _note(self, item: int, number: int, was: Any, value: Any) -> None:
        self.entries.setdefault((item, number), []).append((was, value, self.names[number]))
