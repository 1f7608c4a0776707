"""An item_id that is null is an error which says so, and tells nothing of the row."""

import psycopg
import pytest

from tests.support.helpers import recorded

FORMS = {
    "": "",
    "row by row": "create trigger later after insert or delete on public.t for each row"
    " execute function public.nothing();",
    "partitioned": "",
}
SETUP = """
create function public.nothing() returns trigger language plpgsql as
  $$ begin return null; end $$;
create table public.t (id int not null, code text, pin text, {key}) {rest};
{form}
select audit.track('public.t', item_id => '{item_id}', secret => '{{pin}}');
"""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("item_id", ["code", "upper(code)", "code || id"])
def test_a_row_without_an_item_is_refused_by_name(
    connection: psycopg.Connection, item_id: str, form: str
) -> None:
    parted = form == "partitioned"
    connection.execute(
        SETUP.format(
            item_id=item_id,
            form="create table public.t1 partition of public.t default;" if parted else FORMS[form],
            key="primary key (id)",
            rest="partition by list (id)" if parted else "",
        ).encode()
    )
    connection.execute("insert into public.t values (1, 'a', 'canary'), (2, 'b', 'canary')")
    for write in (
        "insert into public.t values (3, null, 'canary')",
        "update public.t set code = null where id = 1",
    ):
        with pytest.raises(psycopg.Error, match="has no item") as refused, connection.transaction():
            connection.execute(write.encode())
        assert refused.value.sqlstate == "UA005"
        assert item_id in str(refused.value)
        assert "public.t" in str(refused.value)
        assert "canary" not in str(refused.value)
    with recorded(connection) as log:
        connection.execute("update public.t set code = 'c' where id = 1")
        connection.execute("delete from public.t")
    # The update makes it another item, which is told on both sides.
    assert [row.action for row in log] == ["t_updated"] * 2 + ["t_deleted"] * 2


def test_grouped_parts_without_an_item_are_refused_too(connection: psycopg.Connection) -> None:
    connection.execute(
        "create table public.line (id int primary key, bill int, v int);"
        "select audit.track('public.line', item_type => 'bill', item_id => 'bill', part => 'lines',"
        " part_name => 'id',"
        """ actions => '[{"action": "lines_changed", "on": ["insert", "update", "delete"],"""
        """ "grouped": true}]');"""
        "insert into public.line values (1, 1, 1)"
    )
    for write in (
        "insert into public.line values (2, null, 1)",
        "update public.line set bill = null",
    ):
        with pytest.raises(psycopg.Error, match="has no item"), connection.transaction():
            connection.execute(write.encode())
