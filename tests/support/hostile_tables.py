"""A stranger's tables, in each form that triggers take, declared with each slot in use."""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar
from zlib import crc32

from tests.support.effort import sized
from tests.support.hostile_types import TEXT, Kind

T = TypeVar("T")


SHAPES: Final = ("statement", "rows", "grouped", "partitioned")
LINKS: Final = ("alone", "cascade", "one hop", "two hops")
SLOTS: Final = (
    "plain",
    "key",
    "item_id",
    "item_label",
    "account",
    "accounts",
    "parent_id",
    "part_name",
    "when",
)
LINKED_SLOTS: Final = {
    "cascade": ("plain", "lookup_key"),
    "one hop": ("lookup", "lookup_key"),
    "two hops": ("lookup", "lookup_key"),
}
# What a lookup's expression is for.
LOOKING: Final = ("item_label", "account", "item_id", "parent_id", "part_name")

TEXT_EXPRESSIONS: Final = (
    "{0}tag",
    "upper({0}tag)",
    "{0}tag || '!'",
    "{0}tag::text",
    "coalesce({0}tag, 'none')",
    "case when {0}tag = 'a' then {0}tag else 'other' end",
)
TYPED_EXPRESSIONS: Final = ("{0}tag", "{0}tag::text", "concat({0}tag, '!')")
TEXT_CONDITIONS: Final = (
    "upper({0}.tag) = 'A' or {0}.spare is not null",
    "{0}.tag = 'a' or {0}.spare is not null",
    "{0}.tag || '!' = 'a!' or {0}.spare is not null",
    "{0}.tag in ('a', 'b') or {0}.spare is not null",
)
TYPED_CONDITIONS: Final = (
    "{0}.tag = {1} or {0}.spare is not null",
    "{0}.tag::text = 'a' or {0}.spare is not null",
    "{0}.tag is distinct from {1} or {0}.spare is not null",
)
ACCOUNTS: Final = (
    "select m.acc from lair.mem as m where m.tag = new.tag",
    "select m.tag from lair.mem as m where m.uid = new.n",
    "select m.acc from lair.mem as m where m.tag::text = new.tag::text",
)
# DDL after which tracked tables are compiled anew; the last two are for who runs the log.
DDL: Final = (
    "alter table lair.t add z integer",
    "alter table lair.t alter free type bigint",
    "alter table lair.t rename free to freed",
    "create index on lair.t (spare)",
    (
        "create trigger busier after insert or update or delete on lair.t"
        " for each row execute function lair.quiet()"
    ),
    "select audit.refresh()",
    "select audit.check()",
)


@dataclass(frozen=True, slots=True)
class Form:
    """A form of trigger: the shape of the tracked table, and how it hangs on others."""

    shape: str
    link: str

    def __str__(self) -> str:
        return f"{self.shape} {self.link}"


FORMS: Final = tuple(Form(shape, link) for link in LINKS for shape in SHAPES)


def slots_of(form: Form) -> tuple[str, ...]:
    """Return the slots to try with a form."""
    return LINKED_SLOTS.get(form.link, SLOTS)


def pick(options: tuple[T, ...], *key: object) -> T:
    """Return one of the options, always the same for the same key."""
    return options[number_of(*key) % len(options)]


@cache
def seed() -> int:
    """Return what choices depend on: the same in each short run, something new in a long one."""
    return int(os.environ.get("AUDITDB_STRANGERS_SEED") or sized(0, secrets.randbelow(10**6)))


def number_of(*key: object) -> int:
    """Return a number that is the same for the same key, and another with another seed."""
    return crc32(repr((seed(), *key)).encode())


@dataclass(frozen=True, slots=True)
class World:
    """The tables of one case, tracked with one slot in use, where a type may be hostile."""

    form: Form
    slot: str
    kind: Kind = TEXT
    is_unaudited: bool = False
    """Whether changes of the column are no action, so that only an expression reads it."""

    def __str__(self) -> str:
        return f"{self.slot} / {self.form}"

    def pick(self, options: tuple[T, ...], *key: object) -> T:
        """Return one of the options: others for other worlds, the same for the same world."""
        return pick(options, str(self), self.kind.name, *key)

    def _type(self, *slots: str) -> str:
        """Return the type of a column: the hostile one if the slot in use is about it."""
        return self.kind.type if self.slot in slots else "text"

    def tables(self) -> str:
        """Return statements that make the tables, with a row in each, to be run by their owner."""
        tag = self._type(*(slot for slot in SLOTS if slot != "key"))
        looked = self._type("lookup")
        key = self._type("lookup_key")
        ident = self._type("key")
        account = self._type("accounts")
        is_parted = self.form.shape == "partitioned"
        reference = "" if self.form.link == "alone" else " references lair.par on delete cascade"
        statements = (
            self.kind.made_by,
            f"create table lair.grand (id {key} primary key, tag {looked}, n integer)",
            (
                f"create table lair.par (id {key} primary key, tag {looked},"
                f" gid {key} references lair.grand, n integer)"
            ),
            f"create table lair.mem (uid integer, acc text, tag {account}, n integer)",
            f"create table lair.t (id {ident}, k integer not null, tag {tag}, spare text,"
            f" free integer, n integer default 1, pid {key}{reference}, more integer,"
            f" primary key (id{', k' if is_parted else ''}))"
            + (" partition by list (k)" if is_parted else ""),
            *self._partitions(),
            *self._triggers(),
            f"insert into lair.grand values ({self._parent(0)}, {self._tag(0, 'lookup')}, 1)",
            *(
                f"insert into lair.par values"
                f" ({self._parent(n)}, {self._tag(0, 'lookup')}, {self._parent(0)}, 1)"
                for n in range(3)
            ),
            f"insert into lair.mem values (1, 'acme', {self._tag(0, 'accounts')}, 1)",
            self._insert(0, 0),
        )
        return ";".join(filter(None, statements))

    def _partitions(self) -> Iterator[str]:
        if self.form.shape == "partitioned":
            for k in (1, 2):
                yield f"create table lair.t{k} partition of lair.t for values in ({k})"

    def _triggers(self) -> Iterator[str]:
        if self.form.shape == "rows":
            yield (
                "create trigger busy after insert or delete on lair.t"
                " for each row execute function lair.quiet()"
            )

    def _tag(self, number: int, *slots: str) -> str:
        return (self.kind if self.slot in slots else TEXT).value(number)

    def _parent(self, number: int) -> str:
        return self._tag(number, "lookup_key")

    def _row(self, number: int, parent: int) -> str:
        ident = self._tag(number, "key")
        tag = self._tag(0, *(slot for slot in SLOTS if slot != "key"))
        return f"({ident}, 1, {tag}, 'r{number}', 1, 1, {self._parent(parent)})"

    def _insert(self, *rows: int) -> str:
        *numbers, parent = rows
        return "insert into lair.t values " + ", ".join(self._row(n, parent) for n in numbers)

    def writes(self, parent: str = "par") -> Iterator[tuple[str, str]]:
        """Yield the writes of the tracked table, each with a name; each is an essential action."""
        changed = self._tag(1, *(slot for slot in SLOTS if slot != "key"))
        column, value = "tag", changed
        if self.slot == "key":
            column, value = "id", self._tag(6, "key")
        yield "insert", self._insert(1, 1)
        yield "insert of two", self._insert(2, 3, 2)
        one = "spare operator(pg_catalog.=) 'r1'"
        two = "spare operator(pg_catalog.=) any ('{r1,r2}')"
        yield "update", f"update lair.t set {column} = {value}, more = 1 where {one}"
        yield "update of another column", f"update lair.t set n = 2 where {two}"
        yield "move", f"update lair.t set k = 2 where {two}"
        # Two actions in one statement, where an action is not for all columns.
        yield "move back", f"update lair.t set k = 1, n = 1, tag = {changed} where {two}"
        yield "delete", f"delete from lair.t where {two}"
        if self.form.link != "alone":
            yield (
                "delete of the parent",
                (
                    f"delete from lair.{parent} where id operator(pg_catalog.=) {self._parent(2)}"
                    " and exists (select from lair.t where spare operator(pg_catalog.=) 'r3')"
                ),
            )

    def declaration(self, *, is_typed: bool = True) -> dict[str, Any]:
        """Return the arguments of audit.track(); expressions suit a typed column, or text."""
        slot, link = self.slot, ""
        declared: dict[str, Any] = {}
        if self.form.link in ("one hop", "two hops"):
            declared["lookups"] = json.dumps(
                {"p": "pid"} if self.form.link == "one hop" else {"p": "pid", "g": "p.gid"}
            )
            link = "p." if self.form.link == "one hop" else "g."
            slot = self.pick(LOOKING, "looking")
            # The plain slot of a lookup has an expression too: that is what it is for.
        expressions = TYPED_EXPRESSIONS if is_typed else TEXT_EXPRESSIONS
        expression = self.pick(expressions, "expression").format(link)
        if self.form.shape == "grouped" or slot == "part_name":
            declared |= {"part": "bits", "part_name": "spare", "item_id": "n"}
        if slot == "accounts":
            declared["accounts"] = self.pick(ACCOUNTS, "accounts")
        elif slot == "parent_id":
            declared |= {"parent_type": "par", "parent_id": expression}
        elif slot == "plain":
            declared |= self.pick(({}, {"secret": ["tag"]}, {"operational": ["free"]}), "plain")
        elif slot not in ("key", "when", "lookup_key"):
            declared[slot] = expression
        if self.is_unaudited:
            declared["operational"] = ["tag"]
        return declared | {"actions": json.dumps(list(self._actions(is_typed=is_typed)))}

    def _actions(self, *, is_typed: bool) -> Iterator[dict[str, Any]]:
        """Yield the declared actions: one for each event, or one for all that groups parts."""
        conditions = TYPED_CONDITIONS if is_typed else TEXT_CONDITIONS
        literal = self.kind.value(0) if is_typed else "'a'"
        for event, side in (("insert", "new"), ("update", "new"), ("delete", "old")):
            action: dict[str, Any] = {"action": f"t_{event}", "on": event}
            if self.slot == "when":
                condition = self.pick(conditions, "when", event)
                action["when"] = condition.format(side, literal)
            if self.form.shape == "grouped":
                action |= {"grouped": True}
            elif event == "update":
                yield action | {"action": "t_renumbered", "columns": ["n"]}
            yield action

    def retype(self, kind: Kind) -> Iterator[str]:
        """Yield statements that give a hostile type to the columns that the slot is about."""
        yield kind.made_by
        tables = {"lookup": ("par", "grand"), "accounts": ("mem", "t")}.get(self.slot, ("t",))
        column = "id" if self.slot == "key" else "tag"
        for table in tables:
            yield (
                f"alter table lair.{table} alter {column} type {kind.type}"
                f" using {kind.value(0)}::{kind.type}"
            )


def track(declared: dict[str, Any]) -> str:
    """Return a call of audit.track() with a place for each argument's value."""
    return (
        f"select audit.track('lair.t', {', '.join(f'{name} => %({name})s' for name in declared)})"
    )
