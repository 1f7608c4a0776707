"""How a table is tracked, said in Python: the parameters of audit.track() as a frozen dataclass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from auditdb.errors import InvalidDeclaration

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.orm import QueryableAttribute

    ColumnName = str | ColumnElement[Any] | QueryableAttribute[Any]
    """A column: its name in the database, the column itself, or the attribute of a model."""

Event = Literal["insert", "update", "delete"]
OnTruncate = Literal["log", "refuse"]

INFO_KEY = "audit"
"""Where `Table.info` holds the declaration."""

EVENTS: tuple[Event, ...] = ("insert", "update", "delete")


@dataclass(frozen=True, slots=True)
class Action:
    """An action that a table's rows are recorded as; compares by value.

    Raises InvalidDeclaration for a value of the wrong kind. What the database alone can tell, such
    as whether a condition is SQL, it tells when the migration runs.

    >>> Action("invoice_paid", "update", columns=["paid_at"]).as_dict()
    {'action': 'invoice_paid', 'on': 'update', 'columns': ['paid_at']}
    """

    action: str
    """Code of the action, as it will stand in the log."""

    on: Event | Sequence[Event]
    """The statements that it records."""

    columns: Sequence[ColumnName] | None = None
    """On update: the columns that it owns; None is all that no other action takes."""

    when: str | None = None
    """SQL condition on `old.column` and `new.column`."""

    grouped: bool = False
    """Whether it is one row of the log for each item and statement."""

    label: str | None = None
    """Its name for people; None makes it from the code."""

    description: str | None = None
    """What it means, in a sentence."""

    def __post_init__(self) -> None:
        if _text("The name of an action", self.action) is None:
            raise InvalidDeclaration("An action needs a name.")
        where = f"of action {self.action}"
        _put(self, "on", _events(where, self.on))
        if self.columns is not None:
            _put(self, "columns", _column_names(f"columns {where}", self.columns))
        for name in ("when", "label", "description"):
            _put(self, name, _text(f"{name} {where}", getattr(self, name)))
        _check_boolean(f"grouped {where}", self.grouped)

    def as_dict(self) -> dict[str, Any]:
        """Return the object that audit.track() takes, with the keys that say something."""
        found: dict[str, Any] = {"action": self.action}
        found["on"] = self.on[0] if len(self.on) == 1 else list(self.on)
        if self.columns is not None:
            found["columns"] = list(self.columns)
        for name in ("when", "grouped", "label", "description"):
            if value := getattr(self, name):
                found[name] = value
        return found


class Declaration(TypedDict, total=False):
    """The arguments of Tracked, for functions that pass them on."""

    item_type: str | None
    item_id: str | None
    item_label: str | None
    account: str | None
    accounts: str | None
    parent_type: str | None
    parent_id: str | None
    lookups: Mapping[str, str]
    part: str | None
    part_name: str | None
    operational: Sequence[ColumnName]
    secret: Sequence[ColumnName]
    actions: Sequence[Action | Mapping[str, Any]] | None
    require_actor: bool
    on_truncate: OnTruncate


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """How a table is tracked: what audit.track() takes, with its defaults; compares by value.

    Columns go by their names in the database. Raises InvalidDeclaration for a value of the wrong
    kind, and for fields that contradict each other.

    >>> Tracked(item_label="number", secret=["token"]) == Tracked(
    ...     item_label="number", secret=("token",)
    ... )
    True
    """

    item_type: str | None = None
    """Kind of the item that a row is about; None is the table's name."""

    item_id: str | None = None
    """Expression for the id of the item; None is the primary key."""

    item_label: str | None = None
    """Expression for the name of the item."""

    account: str | None = None
    """Expression for the tenant of the row."""

    accounts: str | None = None
    """Instead of account: a query for the tenants of the row, which it names `new.column`."""

    parent_type: str | None = None
    """Kind of the item on whose page the actions are shown too."""

    parent_id: str | None = None
    """Expression for its id; goes with parent_type."""

    lookups: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Rows that expressions may name: alias to the foreign key column that leads there."""

    part: str | None = None
    """What the rows are called in changes, where they are parts of the item."""

    part_name: str | None = None
    """Expression for the name of the part; goes with part. By default the primary key."""

    operational: Sequence[ColumnName] = ()
    """Columns whose change is no action; they are not in the log."""

    secret: Sequence[ColumnName] = ()
    """Columns logged as changed, never with a value."""

    actions: Sequence[Action | Mapping[str, Any]] | None = None
    """What is recorded, in order of precedence; None is created, updated, deleted."""

    require_actor: bool = False
    """Whether a write without an actor is refused."""

    on_truncate: OnTruncate = "log"
    """Whether TRUNCATE is logged or refused."""

    def __post_init__(self) -> None:
        for name in _EXPRESSIONS:
            _put(self, name, _text(name, getattr(self, name)))
        _put(self, "lookups", _lookups(self.lookups))
        _put(self, "operational", _column_names("operational", self.operational))
        _put(self, "secret", _column_names("secret", self.secret))
        if self.actions is not None:
            _put(self, "actions", _actions(self.actions))
        _check_boolean("require_actor", self.require_actor)
        if self.on_truncate not in ("log", "refuse"):
            raise InvalidDeclaration(f'on_truncate is "log" or "refuse", not {self.on_truncate!r}.')
        if self.account is not None and self.accounts is not None:
            raise InvalidDeclaration("Give account or accounts, not both.")
        if (self.parent_type is None) != (self.parent_id is None):
            raise InvalidDeclaration("parent_type and parent_id go together: give both or none.")
        if self.part is None and self.part_name is not None:
            raise InvalidDeclaration("part_name goes with part: give part too.")

    def resolved(self, table_name: str) -> Tracked:
        """Return the same declaration with the defaults that depend on the table written out."""
        item_type = self.item_type or table_name
        actions = default_actions(item_type) if self.actions is None else self.actions
        return replace(self, item_type=item_type, actions=actions)

    def shortened(self, table_name: str) -> Tracked:
        """Return the same declaration without what are the defaults for this table."""
        whole = self.resolved(table_name)
        is_default = whole.actions == default_actions(str(whole.item_type))
        return replace(
            whole,
            item_type=None if whole.item_type == table_name else whole.item_type,
            actions=None if is_default else whole.actions,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that are not at their default, in plain lists, dicts and strings."""
        found: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "actions" and value is not None:
                found["actions"] = [action.as_dict() for action in value]
            elif f.name == "lookups" and value:
                found["lookups"] = dict(value)
            elif f.name in ("operational", "secret") and value:
                found[f.name] = list(value)
            elif f.name not in _COLLECTIONS and value != f.default:
                found[f.name] = value
        return found


_COLLECTIONS = ("lookups", "operational", "secret", "actions")
_EXPRESSIONS = tuple(
    f.name for f in fields(Tracked) if f.name not in (*_COLLECTIONS, "require_actor", "on_truncate")
)


def declare(target: type[Any] | Table, **declaration: Unpack[Declaration]) -> None:
    """Declare a model or a table to be tracked, with the fields of Tracked as arguments.

    The declaration is put into `Table.info`; the next `alembic revision --autogenerate` writes
    what brings the database there. Raises InvalidDeclaration for a target that is no model or
    table, for one that is declared otherwise already, and as Tracked does.

    >>> from sqlalchemy import Column, Integer, MetaData, Table, Text
    >>> invoices = Table(
    ...     "invoices", MetaData(), Column("id", Integer, primary_key=True), Column("number", Text)
    ... )
    >>> declare(invoices, item_label="number")
    """
    # Here, for whoever declares nothing pays nothing for SQLAlchemy.
    from sqlalchemy import Table

    table = target if isinstance(target, Table) else getattr(target, "__table__", None)
    if not isinstance(table, Table):
        raise InvalidDeclaration(f"{target!r} is no model with a table of its own, and no table.")
    tracked = Tracked(**declaration)
    if table.info.setdefault(INFO_KEY, tracked) != tracked:
        raise InvalidDeclaration(
            f"The table {table.fullname} is declared twice, in different ways.",
            hint="Declare it in one place.",
        )


def declared(table: Table) -> Tracked | None:
    """Return how `table` is declared, None if it is not; raises InvalidDeclaration for nonsense."""
    found = table.info.get(INFO_KEY)
    if found is None or isinstance(found, Tracked):
        return found
    raise InvalidDeclaration(
        f'info["{INFO_KEY}"] of table {table.fullname} is a {type(found).__name__}.',
        hint="It must be an auditdb.Tracked(...).",
    )


def default_actions(item_type: str) -> tuple[Action, ...]:
    """Return what a table records that declares no actions."""
    return (
        Action(f"{item_type}_created", "insert"),
        Action(f"{item_type}_updated", "update"),
        Action(f"{item_type}_deleted", "delete"),
    )


def _put(target: Action | Tracked, name: str, value: object) -> None:
    object.__setattr__(target, name, value)  # how a frozen dataclass sets a field of its own


def _text(name: str, value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidDeclaration(f"{name} is text, not {value!r}.")
    if "\0" in value:
        raise InvalidDeclaration(f"{name} holds a null character, which PostgreSQL cannot store.")
    return str(value)


def _events(where: str, value: object) -> tuple[Event, ...]:
    events = (value,) if isinstance(value, str) else value
    if not isinstance(events, Collection) or not events or not set(events) <= set(EVENTS):
        raise InvalidDeclaration(
            f'The statements {where} are "insert", "update" or "delete", not {value!r}.'
        )
    return tuple(event for event in EVENTS if event in events)


def _check_boolean(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidDeclaration(f"{name} is True or False, not {value!r}.")


def _lookups(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(
        isinstance(text, str) and text for pair in value.items() for text in pair
    ):
        raise InvalidDeclaration(
            f'lookups is a dict such as {{"customer": "customer_id"}}, not {value!r}.'
        )
    return dict(value)


def _column_names(name: str, value: object) -> tuple[str, ...]:
    """Return the names sorted, each once: their order means nothing."""
    if isinstance(value, str) or not isinstance(value, Collection):
        raise InvalidDeclaration(f"{name} is a list of columns, not {value!r}.")
    return tuple(sorted({_column_name(name, column) for column in value}))


def _column_name(name: str, column: object) -> str:
    # The attribute of a model leads to its column, whose name may be another one.
    found = column if isinstance(column, str) else getattr(_expression(column), "name", None)
    if not isinstance(found, str) or not found:
        raise InvalidDeclaration(f"{name}: {column!r} is no column.")
    return str(found)


def _expression(column: object) -> object:
    return getattr(column, "expression", column)


def _actions(value: object) -> tuple[Action, ...]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
        raise InvalidDeclaration(f"actions is a list of actions, not {value!r}.")
    return tuple(_action(one) for one in value)


def _action(value: object) -> Action:
    if isinstance(value, Action):
        return value
    if not isinstance(value, Mapping):
        raise InvalidDeclaration(f"An action is an auditdb.Action or a dict, not {value!r}.")
    try:
        return Action(**{k: v for k, v in value.items() if v is not None})
    except TypeError:
        raise InvalidDeclaration(
            f"This is no action: {dict(value)!r}.",
            hint="It has action and on, and may have columns, when, grouped, label, description.",
        ) from None
