"""Verifying finds every value that is not in its column's domain, in a row or in the manifest."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditdb._export import row_key, verify
from auditdb._export.formats import documents
from auditdb._query import page_cursor
from tests.support import damage
from tests.support.commands import auditdb

pytestmark = pytest.mark.quick

FORMS = ["jsonl", "parquet"]
LAST = 9_224_318_016_000_000_000 - 1
FIRST = -210_866_803_200_000_000


def mismatches(place: Path) -> str:
    ran = auditdb("verify", str(place))
    assert ran.returncode == 1
    return ran.stderr


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_what_is_written_here_is_an_export(tmp_path: Path, form: str) -> None:
    place = damage.written(tmp_path / "out", form, [damage.row(n) for n in range(5)])
    assert verify.directory(place).mismatches == ()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"occurred_at": FIRST - 1}, "time"),
    ({"occurred_at": -(2**63)}, "time"),
    ({"layout": 0}, "its layout is no number of one"),
    ({"layout": -1}, "its layout is no number of one"),
    ({"layout": 2**31 - 1}, "its layout is no number of one"),
    ({"layout": 7}, "the manifest has no layout 7"),
    ({"parent_id": "1"}, "it has a parent_id and no parent_type"),
    ({"action": None}, "it has no action"),
    ({"is_cascade": None}, "it has no is_cascade"),
    ({"changes": "[1,2]"}, "its changes is no object"),
    ({"changes": "1"}, "its changes is no object"),
    ({"changes": '"x"'}, "its changes is no object"),
    ({"changes": '{"a": [1, 2]}'}, "no changes of columns"),
    ({"changes": '{"a": null}'}, "no changes of columns"),
    ({"changes": '{"a": {"new": 1, "newer": 2}}'}, "no changes of columns"),
    ({"changes": '{"a": {"redacted": 1}}'}, "no changes of columns"),
    ({"changes": '{"a": {"redacted": null}}'}, "no changes of columns"),
    ({"changes": '{"a": {"new": 1}, "a": {"new": 2}}'}, "an object has 'a' twice"),
    ({"changes": '{"a": {"new": 1, "new": 2}}'}, "an object has 'new' twice"),
    ({"changes": '{"a": {"new": {"deep": [{"x": 1, "x": 1}]}}}'}, "an object has 'x' twice"),
    ({"changes": '{"a": {"new": Infinity}}'}, "Infinity is no JSON"),
    ({"changes": '{"a": {"new": -Infinity}}'}, "-Infinity is no JSON"),
    ({"changes": '{"a": {"new": NaN}}'}, "NaN is no JSON"),
    ({"changes": '{"a": {"new": 1e999999}}'}, "has an exponent"),
    ({"changes": '{"a": {"new": 1E3}}'}, "has an exponent"),
    ({"changes": '{"a": {"new": %s}}' % ("1" * 131_073)}, "a number of 131073 digits"),
    ({"changes": '{"a": {"new": 0.%s}}' % ("1" * 16_384)}, "a number of 16386 digits"),
    ({"changes": '{"a": {"new": +5}}'}, "log."),
    ({"changes": '{"a": {"new": 05}}'}, "log."),
    ({"changes": '{"a": {"new": \u0663}}'}, "log."),
    ({"changes": '{"a": {"new": 1}} {}'}, "log."),
    ({"changes": '{"a": {"new": "\\u0000"}}'}, "U+0000"),
    ({"changes": '{"\\u0000": {"new": 1}}'}, "U+0000"),
    ({"changes": '{"a": {"new": "\\udc00\\ud800"}}'}, "half of a character"),
    ({"context": "[]"}, "its context is no object"),
    ({"context": '{"a": 1, "a": 1}'}, "an object has 'a' twice"),
    ({"context": '{"a": ' + "[" * 5000 + "]" * 5000 + "}"}, "nested too deep"),
]


@pytest.mark.parametrize(("cells", "named"), WRONG)
def test_a_value_that_is_not_in_its_domain_is_named(
    tmp_path: Path, form: str, cells: dict[str, Any], named: str
) -> None:
    rows = [damage.row(n) for n in range(5)]
    rows[2] |= cells
    found = mismatches(damage.written(tmp_path / "out", form, rows))
    assert named in found
    assert f"log.{form}: " in found
    assert "row " in found


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ('"id":706', "its id is no text of a number"),
        ('"id":" 706"', "' 706' is no number of a row"),
        ('"id":"+706"', "'+706' is no number of a row"),
        ('"id":"7_06"', "'7_06' is no number of a row"),
        ('"id":"0706"', "'0706' is no number of a row"),
        ('"id":"-0"', "'-0' is no number of a row"),
        ('"id":"7e2"', "'7e2' is no number of a row"),
        ('"id":"706.0"', "'706.0' is no number of a row"),
        ('"id":"\u0667"', "is no number of a row"),
        ('"id":"9223372036854775808"', "is no number of a row"),
        ('"id":"1","id":"2"', "an object has 'id' twice"),
        ('"item_id":5', "its item_id is no text"),
        ('"layout":"1"', "its layout is no number"),
        ('"layout":1e0', "has an exponent"),
        ('"layout":1.0', "its layout is no number of one"),
        ('"layout":true', "its layout is no number"),
        ('"is_deleted":0', "its is_deleted is no boolean"),
        ('"is_deleted":"false"', "its is_deleted is no boolean"),
        ('"is_deleted":"f"', "its is_deleted is no boolean"),
        ('"occurred_at":"infinity"', "is not a time"),
        ('"occurred_at":"-infinity"', "is not a time"),
        ('"occurred_at":"0000-01-01T00:00:00.000000Z"', "is no time of PostgreSQL"),
        ('"occurred_at":"002026-01-01T00:00:00.000000Z"', "is no time of PostgreSQL"),
        ('"occurred_at":"294277-01-01T00:00:00.000000Z"', "is no time of PostgreSQL"),
        ('"occurred_at":"294250-01-01T00:00:00.000000Z"', "as its time"),
        ('"occurred_at":"4715-01-01T00:00:00.000000Z BC"', "is no time of PostgreSQL"),
        ('"occurred_at":"2026-01-01T24:00:00.000000Z"', "is not a time"),
        ('"occurred_at":"2026-01-01T00:00:60.000000Z"', "is not a time"),
        ('"occurred_at":"2026-02-30T00:00:00.000000Z"', "after row 2"),
        ('"occurred_at":"2026-01-01T00:00:00.000000+00:00"', "is not a time"),
        ('"item_label":"\\ud800"', "half of a character"),
        ('"item_label":"a\\u0000"', "U+0000"),
    ],
)
def test_a_member_of_a_line_that_is_not_in_its_form_is_named(
    tmp_path: Path, member: str, named: str
) -> None:
    lines = [damage.line(damage.row(n)) for n in range(5)]
    lines[2] = damage.with_member(lines[2], member)
    found = mismatches(damage.written_lines(tmp_path / "out", lines))
    assert named in found
    assert "row 2: " in found or "row 3: " in found


@given(st.integers(FIRST, LAST))
@settings(max_examples=300)
def test_every_time_of_postgresql_has_one_form(moment: int) -> None:
    text = page_cursor.to_iso(moment)
    assert page_cursor.from_iso(text) == moment
    for other in (f"0{text}", text.replace("Z", "+00:00"), f" {text}", f"{text}\n"):
        with pytest.raises(ValueError, match="time"):
            page_cursor.from_iso(other)


@given(st.text(st.characters(codec="utf-8"), max_size=12) | st.integers().map(str))
@settings(max_examples=500)
def test_a_number_of_a_row_has_one_form(text: str) -> None:
    try:
        found = row_key.number(text)
    except ValueError:
        assert (
            not (text.lstrip("-").isdecimal() and str(int(text)) == text) or abs(int(text)) >= 2**63
        )
    else:
        assert str(found) == text
        assert -(2**63) <= found < 2**63


_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), _DOCUMENTS, min_size=1), st.data())
@settings(max_examples=300)
def test_a_key_that_comes_twice_is_refused_wherever_it_is(
    found: dict[str, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(found)))
    inner = json.dumps(found)
    twice = f"{inner[:-1]}, {json.dumps(key)} : 1}}"
    around = data.draw(st.sampled_from(["%s", "[%s]", '{"x": %s}', '{"x": [1, {"y": %s}]}']))
    assert documents.read(around % inner) is not None
    with pytest.raises(ValueError, match="twice"):
        documents.read(around % twice)


def _file(**given: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["files"][0].update(given)


def _set(**given: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.update(given)


def _filter(**given: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found["filters"].update(given)


@pytest.mark.parametrize(
    "change",
    [
        _set(format=True),
        _set(format=1.0),
        _set(format=[1]),
        _set(spreadsheet=0),
        _set(spreadsheet=None),
        _set(rows=True),
        _set(rows=5.0),
        _set(rows=-1),
        _set(filters=[]),
        _filter(account_id=1),
        _filter(account_id=["1"]),
        _filter(account_id="\ud800"),
        _filter(account_id="\0"),
        _filter(since=1),
        _filter(since="yesterday"),
        _filter(until="infinity"),
        _filter(actions="x"),
        _filter(tables=[1]),
        _set(watermark={"log": "x"}),
        _set(watermark={"next_tx": 1, "pending": [], "era": 1, "log": "x"}),
        _set(watermark={"next_tx": "1", "pending": [], "era": 1, "log": "x"}),
        _set(actions=[{"action": "a", "label": "\ud800", "description": ""}]),
        _set(actions=[{"action": "a", "label": "b", "description": ""}] * 2),
        _set(actions=[{"action": "a", "label": 1, "description": ""}]),
        _file(rows=True),
        _file(rows=-5),
        _file(bytes=1.5),
        _file(first={"occurred_at": "infinity", "id": "1", "tx": "1", "account_id": "1"}),
        _file(last={"occurred_at": 1, "id": "1", "tx": "1", "account_id": "1"}),
        _file(last={"occurred_at": "2026-01-01T00:00:00.000000Z", "id": 1, "tx": "1"}),
        _file(name="a" * 300 + ".jsonl"),
        _file(sha256="0" * 63),
    ],
)
def test_a_value_of_the_manifest_that_is_none_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    place = damage.written(tmp_path / "out", "jsonl", [damage.row(n) for n in range(5)])
    path = place / "manifest.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    assert re.search("manifest.json|has format", mismatches(place))


def test_a_manifest_that_says_a_thing_twice_is_refused(tmp_path: Path) -> None:
    place = damage.written(tmp_path / "out", "jsonl", [damage.row(n) for n in range(5)])
    path = place / "manifest.json"
    whole = path.read_text()
    for member in ('"rows": 5', '"sha256": "x"'):
        name = member.split(":")[0]
        path.write_text(whole.replace(name, f"{member}, {name}", 1))
        assert "twice" in mismatches(place)
    path.write_text(whole.replace('"rows": 5', '"rows": NaN', 1))
    assert "NaN is no JSON" in mismatches(place)


def test_a_header_of_csv_that_has_a_column_twice_is_refused(tmp_path: Path) -> None:
    place = damage.written(tmp_path / "out", "csv", [damage.row(n) for n in range(5)])
    assert verify.directory(place).mismatches == ()
    path = place / "log.csv"
    damage.rewritten(place, path.read_bytes().replace(b"id,tx,", b"id,id,", 1))
    assert "the header is not that of the format" in mismatches(place)


def test_a_schema_of_parquet_that_has_a_column_twice_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet

    place = damage.written(tmp_path / "out", "parquet", [damage.row(n) for n in range(5)])
    path = place / "log.parquet"
    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.append_column("id", table.column("id")), path)
    damage.rewritten(place, path.read_bytes())
    assert "the columns are not those of the format" in mismatches(place)
