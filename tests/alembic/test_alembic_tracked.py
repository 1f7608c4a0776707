"""The declaration as a value: what it accepts, what it is equal to, how models give it."""

import dataclasses
import inspect
import re
from textwrap import dedent
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import render_python_code
from alembic.operations.ops import UpgradeOps
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import auditdb
from auditdb import Action, Tracked
from auditdb._tracking.declaration import Declaration, default_actions
from auditdb.alembic import TrackTableOp, UntrackTableOp
from auditdb.errors import InvalidDeclaration

pytestmark = pytest.mark.quick


class Base(DeclarativeBase):
    pass


def table(*names: str) -> Table:
    columns = [Column(name, Text) for name in names]
    return Table("notes", MetaData(), Column("id", Integer, primary_key=True), *columns)


def test_it_takes_what_the_database_takes(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "select p.proargnames from pg_proc as p where p.oid = 'audit.track'::regproc"
    ).fetchone()
    assert row is not None
    # A baseline is something that is done, and no part of what is declared.
    names = [name for name in row[0][1:] if name != "baseline"]
    assert [f.name for f in dataclasses.fields(Tracked)] == names
    assert list(Declaration.__annotations__) == names


def test_default_actions_are_those_of_the_database(connection: psycopg.Connection) -> None:
    row = connection.execute("select audit.default_actions('note')").fetchone()
    assert row == ([action.as_dict() for action in default_actions("note")],)


def test_equal_by_value_and_hashable() -> None:
    one = Tracked(secret=["b", "a"], lookups={"x": "x_id"}, actions=[Action("a", "insert")])
    other = Tracked(
        secret=("a", "b", "a"), lookups={"x": "x_id"}, actions=[{"action": "a", "on": ["insert"]}]
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != Tracked(secret=["b"])
    assert Action("a", ["delete", "insert"], columns=("y", "x")) == Action(
        "a", ("insert", "delete"), columns=["x", "y"]
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.part = "x"  # type: ignore[misc]


def test_what_it_holds_does_not_change_with_what_it_was_made_of() -> None:
    lookups, secret = {"x": "x_id"}, ["a"]
    made = Tracked(lookups=lookups, secret=secret)
    lookups["y"] = "y_id"
    secret.append("b")
    assert made == Tracked(lookups={"x": "x_id"}, secret=["a"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"operational": "note"}, "operational is a list of columns, not 'note'"),
        ({"secret": [1]}, "secret: 1 is no column"),
        ({"secret": [""]}, "secret: '' is no column"),
        ({"item_label": 5}, "item_label is text, not 5"),
        ({"item_label": "a\0b"}, "item_label holds a null character"),
        ({"require_actor": "yes"}, "require_actor is True or False, not 'yes'"),
        ({"on_truncate": "ignore"}, "on_truncate is"),
        ({"account": "a", "accounts": "select 1"}, "account or accounts, not both"),
        ({"parent_type": "a"}, "parent_type and parent_id go together"),
        ({"part_name": "a"}, "part_name goes with part"),
        ({"lookups": {"a": None}}, "lookups is a dict"),
        ({"lookups": ["a"]}, "lookups is a dict"),
        ({"actions": {"action": "a"}}, "actions is a list"),
        ({"actions": ["a"]}, "is an auditdb.Action or a dict, not 'a'"),
        ({"actions": [{"action": "a"}]}, "This is no action: {'action': 'a'}"),
        ({"actions": [{"action": "a", "on": "insert", "no": 1}]}, "This is no action"),
        ({"actions": [{"action": "", "on": "insert"}]}, "An action needs a name"),
        ({"actions": [{"action": "a", "on": "truncate"}]}, "of action a are"),
        ({"actions": [{"action": "a", "on": []}]}, "of action a are"),
        ({"actions": [{"action": "a", "on": 5}]}, "of action a are"),
        (
            {"actions": [{"action": "a", "on": "update", "columns": "note"}]},
            "columns of action a is a list",
        ),
        (
            {"actions": [{"action": "a", "on": "update", "grouped": 1}]},
            "grouped of action a is True or False",
        ),
    ],
)
def test_values_of_the_wrong_kind(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDeclaration, match=re.escape(message)):
        Tracked(**fields)


def test_only_models_and_tables_can_be_declared() -> None:
    with pytest.raises(InvalidDeclaration, match=r"int.*is no model with a table of its own"):
        auditdb.declare(int)


def test_models_and_tables_are_declared() -> None:
    class Note(Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)
        text: Mapped[str] = mapped_column("body")
        seen: Mapped[int]

    auditdb.declare(
        Note,
        operational=[Note.seen, "body"],
        secret=[Note.__table__.c.body],
        actions=[Action("read", "update", columns=[Note.text])],
    )
    assert Base.metadata.tables["notes"].info["audit"] == Tracked(
        operational=["body", "seen"],
        secret=["body"],
        actions=[Action("read", "update", columns=["body"])],
    )


def test_two_declarations_of_one_table() -> None:
    notes = table()
    auditdb.declare(notes, item_label="id")
    auditdb.declare(notes, item_label="id")
    with pytest.raises(InvalidDeclaration, match="notes is declared twice"):
        auditdb.declare(notes)


def test_operations_reverse() -> None:
    old, new = Tracked(), Tracked(item_label="id")
    started = TrackTableOp("notes", new, schema="x")
    stopped = started.reverse()
    assert isinstance(stopped, UntrackTableOp)
    again = stopped.reverse()
    assert (again.tracked, again.schema, again.table_name) == (new, "x", "notes")
    changed = TrackTableOp("notes", new, previous=old).reverse()
    assert isinstance(changed, TrackTableOp)
    assert (changed.tracked, changed.previous) == (old, new)
    with pytest.raises(ValueError, match="how notes was tracked"):
        UntrackTableOp("notes").reverse()


WRITTEN = r"""
op.track_table('notes', item_label='id', require_actor=True)
op.track_table(
    'notes',
    schema='x',
    part='a',
    part_name=(
        'b\n'
        'c \'" \\'
    ),
)
op.track_table(
    'notes',
    lookups={'a': 'a_id'},
    operational=[
        'column_number_0',
        'column_number_1',
        'column_number_2',
        'column_number_3',
        'column_number_4',
    ],
    actions=[
        {'action': 'note_made', 'on': 'insert'},
        {
            'action': 'note_kept',
            'on': ['update', 'delete'],
            'when': (
                'a\n'
                'or b'
            ),
            'label': 'Kept',
        },
    ],
)
op.untrack_table('notes', schema='x')"""


def test_operations_are_written_to_be_read() -> None:
    operations = UpgradeOps(
        [
            TrackTableOp("notes", Tracked(item_label="id", require_actor=True)),
            TrackTableOp("notes", Tracked(part="a", part_name="b\nc '\" \\"), schema="x"),
            TrackTableOp(
                "notes",
                Tracked(
                    operational=[f"column_number_{n}" for n in range(5)],
                    lookups={"a": "a_id"},
                    actions=[
                        Action("note_made", "insert"),
                        Action("note_kept", ["update", "delete"], when="a\nor b", label="Kept"),
                    ],
                ),
            ),
            UntrackTableOp("notes", schema="x"),
        ]
    )
    rendered = dedent("    " + render_python_code(operations))
    assert rendered.splitlines()[1:-1] == WRITTEN.splitlines()[1:]


def test_every_field_says_what_it_is() -> None:
    for kind in (Tracked, Action):
        source = inspect.getsource(kind)
        for f in dataclasses.fields(kind):
            assert re.search(rf'\n    {f.name}: .*\n    """', source), f.name
