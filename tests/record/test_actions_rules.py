"""The rules for all actions: every way of writing is the same, and what is rolled back is not."""

import psycopg
import pytest

from tests.conftest import Connect
from tests.support.expected import (
    CUSTOMER_DETAILS,
    Item,
    Row,
    changed,
    created,
    deleted,
    logged,
    rows,
    seen,
    signed_in,
)
from tests.support.helpers import Platform, new_log, newest, recorded, value


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def columns(p: Platform, key: int, email: str, **known: object) -> dict[str, object]:
    bare = {"id": key, "account_id": p.account, "email": email, "metadata": {}}
    return bare | dict.fromkeys(CUSTOMER_DETAILS) | known


def customer(p: Platform, key: int, email: str) -> Item:
    return Item(f"customer:{key}", email, p.account)


def came(p: Platform, key: int, email: str, **known: object) -> Row:
    return customer(p, key, email).row(
        "customer_created", created(**columns(p, key, email, **known))
    )


def buyer(p: Platform) -> Item:
    return customer(p, p.customer, "buyer@x.example")


# Every way of writing


def test_an_upsert_is_an_insert_or_an_update(connection: psycopg.Connection, p: Platform) -> None:
    parameters = [p.customer, p.account, p.account]
    upsert = (
        "insert into licensing.customers (id, account_id, email, phone) values"
        " (%s, %s, 'unused@x.example', '1'), (99001, %s, 'new@x.example', '2')"
        " on conflict (id) do update set phone = excluded.phone"
    )
    assert logged(connection, upsert, *parameters) == rows(
        buyer(p).row("customer_updated", changed(phone=(None, "1"))),
        came(p, 99001, "new@x.example", phone="2"),
    )
    assert logged(connection, upsert, *parameters) == []


def test_an_insert_that_does_nothing_on_conflict_is_none(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(
        connection,
        "insert into licensing.customers (id, account_id, email) values (%s, %s, 'unused'),"
        " (99001, %s, 'new@x.example') on conflict do nothing",
        *(p.customer, p.account, p.account),
    ) == [came(p, 99001, "new@x.example")]


def test_a_merge_inserts_updates_and_deletes(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute(
        "insert into licensing.customers (id, account_id, email)"
        " select 99000 + n, %s, n || '@x.example' from generate_series(1, 3) as n",
        [p.account],
    )
    assert logged(
        connection,
        "merge into licensing.customers as c using (values (99001, 'go'), (99002, 'stay'),"
        " (99003, 'call'), (99004, 'come')) as s (id, what) on c.id = s.id"
        " when matched and s.what = 'go' then delete"
        " when matched and s.what = 'stay' then do nothing"
        " when matched then update set phone = '1', email = c.email"
        " when not matched then insert (id, account_id, email)"
        " values (s.id, %s, s.id || '@x.example')",
        p.account,
    ) == rows(
        customer(p, 99001, "1@x.example").row(
            "customer_deleted", deleted(**columns(p, 99001, "1@x.example"))
        ),
        customer(p, 99003, "3@x.example").row("customer_updated", changed(phone=(None, "1"))),
        came(p, 99004, "99004@x.example"),
    )


def test_a_copy_is_a_row_for_each_row(connection: psycopg.Connection, p: Platform) -> None:
    statement = "copy licensing.customers (id, account_id, email) from stdin"
    with recorded(connection) as found, connection.cursor().copy(statement) as copy:
        for key in (99001, 99002, 99003):
            copy.write_row((key, p.account, f"{key}@x.example"))
    assert seen(found) == rows(*(came(p, key, f"{key}@x.example") for key in (99001, 99002, 99003)))


def test_one_statement_writes_several_tables(connection: psycopg.Connection, p: Platform) -> None:
    found = logged(
        connection,
        "with c as (insert into licensing.customers (id, account_id, email)"
        " values (99001, %s, 'new@x.example') returning id), o as (insert into licensing.orders"
        " (id, account_id, customer_id, reference) select 99002, %s, id, 'PO-2' from c"
        " returning id), l as (update licensing.licenses set note = 'x' returning id)"
        " insert into licensing.license_features (license_id, product_feature_id)"
        " select l.id, %s from l",
        *(p.account, p.account, p.f1),
    )
    license_ = Item(f"license:{p.license}", "1234", p.account)
    assert found == rows(
        came(p, 99001, "new@x.example"),
        Item("order:99002", "PO-2", p.account).row(
            "order_created",
            created(
                id=99002,
                account_id=p.account,
                customer_id=99001,
                store_id=None,
                reference="PO-2",
                campaign=None,
                is_test=False,
                is_trial=False,
            ),
        ),
        license_.row("license_updated", changed(note=(None, "x"))),
        license_.row(
            "license_features_updated",
            created(
                "features/F1/",
                license_id=p.license,
                product_feature_id=p.f1,
                max_consumption=None,
                allows_overages=False,
                expires_at=None,
            ),
        ),
    )


def test_a_part_is_named_also_when_its_name_goes_in_the_same_statement(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "insert into licensing.license_custom_fields (license_id, product_custom_field_id)"
        " values (%s, %s)",
        [p.license, p.seats],
    )
    found = logged(
        connection,
        "with gone as (delete from licensing.license_custom_fields)"
        " delete from licensing.product_custom_fields",
    )
    names = {name.rpartition("/")[0] for row in found for name in row.changes or {}}
    assert sorted(row.action for row in found) == [
        "license_custom_field_deleted",
        "product_updated",
    ]
    assert names == {"custom_fields/seats"}


def test_a_label_is_kept_also_when_it_goes_in_the_same_statement(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert logged(
        connection,
        "with gone as (delete from licensing.memberships where platform_user_id = %s)"
        " delete from licensing.platform_users where id = %s",
        *(p.colleague, p.colleague),
    ) == [
        Item(f"platform_user:{p.colleague}", "colleague@x.example", p.account).row(
            "platform_user_removed",
            deleted(
                account_id=p.account,
                platform_user_id=p.colleague,
                is_admin=False,
                permissions={"licenses": "read"},
            ),
        )
    ]


def test_prepared_statements_are_logged_each_time(
    connection: psycopg.Connection, p: Platform
) -> None:
    with recorded(connection) as found:
        connection.execute(
            "prepare call (text) as update licensing.customers set phone = $1 where id = 99001"
        )
        for n in range(8):
            connection.execute(
                "insert into licensing.customers (id, account_id, email) values (%s, %s, %s)",
                [99001 + n, p.account, f"{n}@x.example"],
                prepare=True,
            )
            connection.execute(f"execute call ('{n}')".encode())
    assert seen(found) == rows(
        *(came(p, 99001 + n, f"{n}@x.example") for n in range(8)),
        *(
            customer(p, 99001, "0@x.example").row(
                "customer_updated", changed(phone=(str(n - 1) if n else None, str(n)))
            )
            for n in range(8)
        ),
    )


def test_a_write_through_a_view_or_a_block_of_code_is_the_same(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "create view public.buyer as select id, phone from licensing.customers with check option"
    )
    assert logged(connection, "update public.buyer set phone = '1'") == [
        buyer(p).row("customer_updated", changed(phone=(None, "1")))
    ]
    assert logged(
        connection,
        "do $$ begin for n in 2 .. 3 loop"
        " update licensing.customers set phone = n; end loop; end $$",
    ) == rows(
        buyer(p).row("customer_updated", changed(phone=("1", "2"))),
        buyer(p).row("customer_updated", changed(phone=("2", "3"))),
    )


def test_what_the_applications_triggers_write_is_logged_after_its_cause(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "create function public.tidy() returns trigger language plpgsql as $$ begin"
        " new.phone := nullif(trim(new.phone), ''); new.state := 'tidy'; return new; end $$;"
        " create function public.follow() returns trigger language plpgsql as $$ begin"
        " update licensing.orders set campaign = new.state; return null; end $$;"
        " create trigger tidy before update on licensing.customers"
        " for each row execute function public.tidy();"
        " create trigger follow after update on licensing.customers"
        " for each row execute function public.follow()"
    )
    connection.execute("select audit.refresh()")
    with recorded(connection) as found:
        connection.execute("update licensing.customers set phone = ' 1 '")
        connection.execute("update licensing.customers set phone = '1 '")
    assert [row.action for row in found] == ["customer_updated", "order_updated"]
    assert seen(found) == rows(
        buyer(p).row("customer_updated", changed(phone=(None, "1"), state=(None, "tidy"))),
        Item(f"order:{p.order}", "PO-1", p.account).row(
            "order_updated", changed(campaign=(None, "tidy"))
        ),
    )


def test_a_changed_key_is_a_change_like_others(connection: psycopg.Connection, p: Platform) -> None:
    connection.execute("delete from licensing.orders")
    assert logged(connection, "update licensing.customers set id = 99001") == [
        customer(p, number, "buyer@x.example").row(
            "customer_updated", changed(id=(p.customer, 99001))
        )
        for number in (p.customer, 99001)
    ]


def test_the_rows_of_a_transaction_share_its_id_and_follow_each_other(
    connection: psycopg.Connection, p: Platform
) -> None:
    with recorded(connection) as found:
        for phone in ("1", "2", "3"):
            connection.execute("update licensing.customers set phone = %s", [phone])
    assert {row.tx for row in found} == {value(connection, "select txid_current()")}
    times = [row.occurred_at for row in found]
    assert times == sorted(set(times))
    assert times[0] > value(connection, "select transaction_timestamp()")


# What is rolled back


def test_a_rolled_back_savepoint_leaves_only_what_is_outside(
    connection: psycopg.Connection, p: Platform
) -> None:
    update = "update licensing.customers set phone = %s"
    with recorded(connection) as found:
        connection.execute(update, ["1"])
        with connection.transaction(force_rollback=True):
            connection.execute(update, ["2"])
        with connection.transaction():
            connection.execute(update, ["3"])
    assert seen(found) == rows(
        buyer(p).row("customer_updated", changed(phone=(None, "1"))),
        buyer(p).row("customer_updated", changed(phone=("1", "3"))),
    )


def test_a_failed_statement_leaves_nothing(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        with pytest.raises(psycopg.errors.NotNullViolation), connection.transaction():
            connection.execute(
                "insert into licensing.customers (account_id, email) values (%s, 'a'), (%s, null)",
                [p.account, p.account],
            )
        with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
            connection.execute(
                "insert into licensing.customers (account_id, email) values (%s, 'a'), (-1, 'b')",
                [p.account],
            )
    assert seen(found) == []


def test_a_transaction_is_in_the_log_when_it_commits_or_never(connect: Connect) -> None:
    reader, writer = connect(autocommit=True), connect()
    p = signed_in(writer)
    writer.commit()
    mark = newest(reader)
    writer.execute("update licensing.customers set phone = '1'")
    assert seen(new_log(reader, mark)) == []
    writer.rollback()
    assert seen(new_log(reader, mark)) == []
    writer.execute("update licensing.customers set phone = '2'")
    writer.commit()
    assert [(row.item, row.changes) for row in new_log(reader, mark)] == [
        (buyer(p).item, changed(phone=(None, "2")))
    ]


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_two_phase_transaction_is_logged_when_another_session_commits_it(
    connect: Connect, is_committed: bool
) -> None:
    reader, writer = connect(autocommit=True), connect()
    p = signed_in(writer)
    writer.commit()
    mark = newest(reader)
    writer.tpc_begin("auditdb-test")
    writer.execute("select audit.set_actor('platform_user', '7')")
    writer.execute("update licensing.customers set phone = '1'")
    writer.tpc_prepare()
    writer.close()
    assert seen(new_log(reader, mark)) == []
    (prepared,) = [xid for xid in reader.tpc_recover() if xid.database == reader.info.dbname]
    if is_committed:
        reader.tpc_commit(prepared)
    else:
        reader.tpc_rollback(prepared)
    expected = [buyer(p).row("customer_updated", changed(phone=(None, "1")))]
    assert seen(new_log(reader, mark)) == (expected if is_committed else [])


# Truncate


def truncated(table: str) -> Row:
    return Item(f"table:{table}", table, "").row("table_truncated", None)


def test_truncate_is_a_row_for_each_table(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(connection, "truncate licensing.devices") == [truncated("licensing.devices")]
    assert logged(connection, "truncate licensing.orders cascade") == rows(
        *(
            truncated(f"licensing.{table}")
            for table in (
                "orders",
                "order_managers",
                "licenses",
                "license_features",
                "license_custom_fields",
                "license_user_assignments",
                "devices",
            )
        )
    )


def test_truncate_is_refused_where_the_declaration_says_so(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute("create table public.kept (id bigint primary key, name text)")
    connection.execute("select audit.track('public.kept', on_truncate => 'refuse')")
    connection.execute("insert into public.kept values (1, 'a')")
    with recorded(connection) as found:
        for statement in ("truncate public.kept", "truncate licensing.devices, public.kept"):
            with pytest.raises(psycopg.Error) as refused, connection.transaction():
                connection.execute(statement.encode())
            assert refused.value.sqlstate == "UA007"
            assert "public.kept" in str(refused.value)
    assert seen(found) == []
    assert value(connection, "select count(*) from public.kept") == 1
