"""Random statements on the core tables: SQL in its many forms, and what it does to the rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.support.core_tables import TABLES, Key, Row, Tables
from tests.support.core_values import (
    OPERATIONAL,
    PAIRS,
    PARENTS,
    UNIQUE,
    VALUES,
    complete,
    is_leaf,
    is_optional,
    mutable,
)
from tests.support.oracle import Effect, Refused, apply, deletion

Draw = Callable[[st.SearchStrategy[Any]], Any]
Form = Literal["copy", "insert", "select", "merge", "upsert", "cte"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL with its parameters, and what it does to which rows; `rows` are for COPY."""

    sql: str
    parameters: tuple[object, ...] = ()
    effects: tuple[Effect, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    is_refused: bool = False

    def run(self, connection: psycopg.Connection, *, prepare: bool = False) -> None:
        """Execute it.

        Raises:
            psycopg.Error: whatever the server says against it.
        """
        if not self.rows:
            connection.execute(self.sql, self.parameters, prepare=prepare)
            return
        with connection.cursor() as cursor, cursor.copy(self.sql) as copy:
            for row in self.rows:
                copy.write_row(row)


def parameter(value: object) -> object:
    """Return a value as the driver takes it."""
    return Jsonb(value) if isinstance(value, dict) else value


def records(table: str, rows: Iterable[Row]) -> tuple[str, Jsonb]:
    """Return SQL for rows that are given as one JSON parameter, and the parameter."""
    return f"jsonb_populate_recordset(null::licensing.{table}, %s)", Jsonb([*map(dict, rows)])


def matches(table: str, left: str = "t", right: str = "s") -> str:
    """Return the condition under which two rows have the same key."""
    return " and ".join(f"{left}.{column} = {right}.{column}" for column in TABLES[table].key)


def where_in(table: str, keys: Sequence[Key]) -> tuple[str, Jsonb]:
    """Return the condition that a row has one of these keys, and its parameter."""
    key = TABLES[table].key
    source, values = records(table, [dict(zip(key, k, strict=True)) for k in keys])
    columns = ", ".join(key)
    return f"({columns}) in (select {columns} from {source})", values


class Statements:
    """Draws statements for one session, whose rows are its own: ids are taken from `ids`."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = iter(ids)

    def rows(self, draw: Draw, tables: Tables, table: str, most: int = 3) -> list[dict[str, Any]]:
        """Draw new rows with the same columns each, none if there is nothing to attach them to."""
        optional = [
            column
            for column in (*TABLES[table].columns, *TABLES[table].unaudited)
            if not self._is_required(table, column)
        ]
        given = (
            draw(st.lists(st.sampled_from(optional), max_size=6, unique=True)) if optional else []
        )
        drawn: list[dict[str, Any]] = []
        for _ in range(draw(st.integers(1, most))):
            row = self._identity(draw, tables, table, drawn)
            if row is None:
                break
            for column in given:
                row[column] = self._value(draw, tables, table, column)
            drawn.append(row)
        return drawn

    def insert(self, draw: Draw, tables: Tables, table: str) -> Statement | None:
        """Draw an insert of new rows in any form."""
        rows = self.rows(draw, tables, table)
        if not rows:
            return None
        forms: tuple[Form, ...] = ("insert", "select", "copy", "merge", "upsert", "cte")
        return added(table, rows, draw(st.sampled_from(forms)))

    def update(
        self, draw: Draw, tables: Tables, table: str, *, plain: bool = False
    ) -> Statement | None:
        """Draw an update of some rows to the same values, or to those they have."""
        keys = pick(draw, tables, table)
        unique = UNIQUE.get(table, ()) if len(keys) > 1 else ()
        columns = [column for column in mutable(table) if column not in unique]
        if not keys or not columns:
            return None
        chosen = choose(draw, table, columns)
        own = {column for column in chosen if draw(st.integers(0, 4)) == 4}
        values = {c: self._value(draw, tables, table, c) for c in chosen if c not in own}
        settings = [f"{c} = t.{c}" if c in own else f"{c} = %s" for c in chosen]
        if table in OPERATIONAL and draw(st.booleans()):
            settings.append(OPERATIONAL[table])
        condition, wanted = where_in(table, keys)
        sql = f"update licensing.{table} as t set {', '.join(settings)} where {condition}"
        if not plain and draw(st.booleans()):
            sql = f"with changed as ({sql} returning *) select count(*) from changed"
        return Statement(
            sql=sql,
            parameters=(*map(parameter, values.values()), wanted),
            effects=tuple(updated(tables, table, dict.fromkeys(keys, values))),
        )

    def update_each(self, draw: Draw, tables: Tables, table: str) -> Statement | None:
        """Draw an update of some rows to values of their own, by a join, a MERGE or an upsert."""
        keys = pick(draw, tables, table)
        columns = mutable(table)
        if not keys or not columns:
            return None
        chosen = choose(draw, table, columns)
        values = {k: {c: self._value(draw, tables, table, c) for c in chosen} for k in keys}
        rows = [{**tables[table][key], **values[key]} for key in keys]
        effects = tuple(updated(tables, table, values))
        source, wanted = records(table, rows)
        settings = ", ".join(f"{column} = s.{column}" for column in chosen)
        form = draw(st.sampled_from(("join", "merge", "upsert")))
        if form == "upsert":
            return upserted(table, rows, chosen, effects)
        if form == "merge":
            sql = (
                f"merge into licensing.{table} as t using {source} as s on {matches(table)}"
                f" when matched then update set {settings}"
            )
        else:
            sql = f"update licensing.{table} as t set {settings} from {source} as s"
            sql += f" where {matches(table)}"
        return Statement(sql=sql, parameters=(wanted,), effects=effects)

    def mixed(self, draw: Draw, tables: Tables, table: str) -> Statement | None:
        """Draw a statement that inserts some rows and updates others, and may delete yet others."""
        columns = mutable(table)
        keys = pick(draw, tables, table)
        new = self.rows(draw, tables, table, 2)
        if not new or not keys or not columns:
            return None
        chosen = choose(draw, table, columns)
        values = {k: {c: self._value(draw, tables, table, c) for c in chosen} for k in keys}
        new = [complete(table, row) for row in new]
        form = draw(st.sampled_from(("update", "nothing", "merge")))
        doomed = keys[:1] if form == "merge" and is_leaf(table) and draw(st.booleans()) else []
        kept = {} if form == "nothing" else {k: v for k, v in values.items() if k not in doomed}
        effects = (
            *(Effect(table=table, new=row) for row in new),
            *updated(tables, table, kept),
            *(Effect(table=table, old=tables[table][key]) for key in doomed),
        )
        old = [{**tables[table][key], **values[key]} for key in keys]
        if form == "merge":
            return merged(table, [*old, *new], chosen, doomed, effects)
        return upserted(table, [*old, *new], chosen if form == "update" else [], effects)

    def delete(self, draw: Draw, tables: Tables, table: str) -> Statement | None:
        """Draw a deletion of some rows, refused if others need them."""
        keys = pick(draw, tables, table, most=2)
        if not keys:
            return None
        condition, wanted = where_in(table, keys)
        form = draw(st.sampled_from(("where", "using", "cte", "merge")))
        sql = f"delete from licensing.{table} as t where {condition}"
        if form == "cte":
            sql = f"with gone as ({sql} returning *) select count(*) from gone"
        elif form != "where":
            named = [dict(zip(TABLES[table].key, key, strict=True)) for key in keys]
            source, wanted = records(table, named)
            sql = (
                f"delete from licensing.{table} as t using {source} as s where {matches(table)}"
                if form == "using"
                else f"merge into licensing.{table} as t using {source} as s on {matches(table)}"
                " when matched then delete"
            )
        try:
            effects = tuple(deletion(tables, table, keys))
        except Refused:
            return Statement(sql=sql, parameters=(wanted,), is_refused=True)
        return Statement(sql=sql, parameters=(wanted,), effects=effects)

    def replace_part(self, draw: Draw, tables: Tables, table: str) -> Statement | None:
        """Draw an update of a part's key: another part in its place."""
        keys = pick(draw, tables, table, most=1)
        if not keys:
            return None
        old = tables[table][keys[0]]
        column = TABLES[table].key[1]
        row = self._identity(draw, tables, table, [], within=old[TABLES[table].key[0]])
        if row is None:
            return None
        condition, wanted = where_in(table, keys)
        return Statement(
            sql=f"update licensing.{table} set {column} = %s where {condition}",
            parameters=(row[column], wanted),
            effects=(Effect(table=table, old=old, new={**old, column: row[column]}),),
        )

    def pair(self, draw: Draw, tables: Tables, first: str, second: str) -> Statement | None:
        """Draw one statement that writes twice, by a data-modifying CTE."""
        one = self._plain(draw, tables, first, is_only_insert=first == second)
        if one is None:
            return None
        between = tables if first == second else apply(tables, one.effects)
        other = self._plain(draw, between, second, is_never_insert=first == second)
        return other and Statement(
            sql=f"with one as ({one.sql} returning 1) {other.sql}",
            parameters=(*one.parameters, *other.parameters),
            effects=(*one.effects, *other.effects),
        )

    def _plain(
        self,
        draw: Draw,
        tables: Tables,
        table: str,
        *,
        is_only_insert: bool = False,
        is_never_insert: bool = False,
    ) -> Statement | None:
        """Draw an insert, an update, or a deletion without a cascade, in its plainest form."""
        rows = [] if is_never_insert else self.rows(draw, tables, table, 2)
        if rows and (is_only_insert or draw(st.booleans())):
            return added(table, rows, "select")
        if is_only_insert:
            return None
        if not is_leaf(table) or draw(st.booleans()):
            return self.update(draw, tables, table, plain=True)
        keys = pick(draw, tables, table, most=2)
        condition, wanted = where_in(table, keys)
        return (
            Statement(
                sql=f"delete from licensing.{table} as t where {condition}",
                parameters=(wanted,),
                effects=tuple(Effect(table=table, old=tables[table][key]) for key in keys),
            )
            if keys
            else None
        )

    def _is_required(self, table: str, column: str) -> bool:
        """Return whether an insert has to say it, or says it in another way."""
        parent = PARENTS.get((table, column))
        if column in ("id", "license_key", "name", "email", "event_type", "hardware_id"):
            return True
        if column in UNIQUE.get(table, ()) or column in PAIRS.get(table, ()):
            return True
        return parent is not None and not is_optional(table, column)

    def _identity(
        self,
        draw: Draw,
        tables: Tables,
        table: str,
        drawn: Sequence[Row],
        within: object = None,
    ) -> dict[str, Any] | None:
        """Draw what a new row cannot do without, unlike all rows there are and all drawn."""
        row: dict[str, Any] = {}
        if table in PAIRS:
            pairs = free_pairs(tables, table, drawn, within)
            if not pairs:
                return None
            row.update(zip(PAIRS[table], draw(st.sampled_from(pairs)), strict=True))
        for column in TABLES[table].columns:
            if column in row or not self._is_required(table, column):
                continue
            if column == "id":
                row[column] = next(self._ids)
            elif (table, column) in PARENTS:
                parents = sorted(tables[PARENTS[table, column]])
                if not parents:
                    return None
                row[column] = draw(st.sampled_from(parents))[0] if within is None else within
            elif column == "hardware_id":
                row[column] = f"hw-{next(self._ids)}"
            else:
                row[column] = draw(VALUES[column])
                if column in UNIQUE.get(table, ()):
                    self._tell_apart(tables, table, row, drawn)
        return row

    def _tell_apart(
        self, tables: Tables, table: str, row: dict[str, Any], others: Sequence[Row]
    ) -> None:
        """Give a row a name that no other row has."""
        column, within = UNIQUE[table]
        if within is None or any(
            other[column] == row[column] and other[within] == row[within]
            for other in (*tables[table].values(), *others)
        ):
            row[column] = f"{row[column]}{next(self._ids)}"

    def _value(self, draw: Draw, tables: Tables, table: str, column: str) -> Any:
        """Draw a value for a column that is no part of what tells the row apart."""
        parent = PARENTS.get((table, column))
        if parent:
            keys = [key[0] for key in sorted(tables[parent])]
            return draw(st.sampled_from([None, *keys] if is_optional(table, column) else keys))
        drawn = draw(VALUES[column])
        return f"{drawn}{next(self._ids)}" if column in UNIQUE.get(table, ()) else drawn


def pick(draw: Draw, tables: Tables, table: str, most: int = 4) -> list[Key]:
    """Draw some of the keys of a table, none from an empty one."""
    keys = sorted(tables[table])
    if not keys:
        return []
    chosen: list[Key] = draw(
        st.lists(st.sampled_from(keys), min_size=1, max_size=most, unique=True)
    )
    return chosen


def free_pairs(
    tables: Tables, table: str, drawn: Sequence[Row], within: object
) -> list[tuple[Any, Any]]:
    """Return the pairs that a link table has no row for yet; products stay among themselves."""
    one, other = PAIRS[table]
    ones, others = tables[PARENTS[table, one]], tables[PARENTS[table, other]]
    taken = {(row[one], row[other]) for row in (*tables[table].values(), *drawn)}
    return [
        (left[0], right[0])
        for left in sorted(ones)
        for right in sorted(others)
        if (left[0], right[0]) not in taken
        and (within is None or left[0] == within)
        and (
            "product_id" not in others[right]
            or others[right]["product_id"] == ones[left]["product_id"]
        )
    ]


def updated(
    tables: Tables, table: str, values: Mapping[Key, Mapping[str, Any]]
) -> Iterable[Effect]:
    """Yield the updates of these rows to these values."""
    for key, new in values.items():
        old = tables[table][key]
        yield Effect(table=table, old=old, new={**old, **new})


def choose(draw: Draw, table: str, columns: Sequence[str]) -> list[str]:
    """Draw some of the columns, more often those that have actions of their own, and together."""
    chosen: list[str] = draw(
        st.lists(st.sampled_from(columns), min_size=1, max_size=6, unique=True)
    )
    claimed = [c for c in columns if any(c in claim.columns for claim in TABLES[table].claims)]
    if claimed and draw(st.integers(0, 2)):
        chosen += draw(st.lists(st.sampled_from(claimed), min_size=1, max_size=3, unique=True))
    return list(dict.fromkeys(chosen))


def added(table: str, rows: Sequence[Row], form: Form) -> Statement:
    """Return the insertion of these rows, which have the same columns each."""
    columns = list(rows[0])
    listed = ", ".join(columns)
    target = f"licensing.{table}"
    effects = tuple(Effect(table=table, new=complete(table, row)) for row in rows)
    if form in ("copy", "insert"):
        cells = tuple(tuple(parameter(row[column]) for column in columns) for row in rows)
        if form == "copy":
            return Statement(
                sql=f"copy {target} ({listed}) from stdin", effects=effects, rows=cells
            )
        line = f"({', '.join(['%s'] * len(columns))})"
        return Statement(
            sql=f"insert into {target} ({listed}) values {', '.join([line] * len(rows))}",
            parameters=tuple(cell for row in cells for cell in row),
            effects=effects,
        )
    source, values = records(table, rows)
    sql = f"insert into {target} ({listed}) select {listed} from {source}"
    if form == "upsert":
        sql += " on conflict do nothing"
    elif form == "cte":
        sql = f"with added as ({sql} returning *) select count(*) from added"
    elif form == "merge":
        given = ", ".join(f"s.{column}" for column in columns)
        sql = (
            f"merge into {target} as t using {source} as s on {matches(table)}"
            f" when not matched then insert ({listed}) values ({given})"
        )
    return Statement(sql=sql, parameters=(values,), effects=effects)


def upserted(
    table: str, rows: Sequence[Row], columns: Sequence[str], effects: tuple[Effect, ...]
) -> Statement:
    """Return an insert that updates these columns where the key is taken; nothing without them."""
    listed = ", ".join(rows[0])
    key = ", ".join(TABLES[table].key)
    source, values = records(table, rows)
    then = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return Statement(
        sql=f"insert into licensing.{table} ({listed}) select {listed} from {source}"
        f" on conflict ({key}) do {f'update set {then}' if columns else 'nothing'}",
        parameters=(values,),
        effects=effects,
    )


def merged(
    table: str,
    rows: Sequence[Row],
    columns: Sequence[str],
    doomed: Sequence[Key],
    effects: tuple[Effect, ...],
) -> Statement:
    """Return a MERGE that deletes the doomed rows, updates the known and inserts the others."""
    subject = TABLES[table]
    flagged = Jsonb([{"row": row, "doomed": subject.key_of(row) in doomed} for row in rows])
    listed = ", ".join(rows[0])
    given = ", ".join(f"s.{column}" for column in rows[0])
    then = ", ".join(f"{column} = s.{column}" for column in columns)
    return Statement(
        sql=f"merge into licensing.{table} as t using (select r.*, (e ->> 'doomed')::boolean as"
        f" is_doomed from jsonb_array_elements(%s) as e, jsonb_populate_record("
        f"null::licensing.{table}, e -> 'row') as r) as s on {matches(table)}"
        " when matched and s.is_doomed then delete"
        f" when matched then update set {then}"
        f" when not matched then insert ({listed}) values ({given})",
        parameters=(flagged,),
        effects=effects,
    )


def unchanged(table: str, keys: Sequence[Key], settings: str) -> Statement:
    """Return an update of these rows that the log has nothing to say of."""
    condition, wanted = where_in(table, keys)
    return Statement(
        sql=f"update licensing.{table} as t set {settings} where {condition}",
        parameters=(wanted,),
    )
