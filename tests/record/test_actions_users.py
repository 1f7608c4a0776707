"""Platform users, permission templates and notification policies: each action, and none else."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support.expected import (
    REDACTED,
    Item,
    changed,
    created,
    deleted,
    logged,
    rows,
    seen,
    signed_in,
)
from tests.support.helpers import Platform, platform, recorded, value


@pytest.fixture
def p(connection: psycopg.Connection) -> Platform:
    return signed_in(connection)


def colleague(p: Platform) -> Item:
    return Item(f"platform_user:{p.colleague}", "colleague@x.example", p.account)


def template(p: Platform) -> Item:
    return Item(f"user_permission_template:{p.permission_template}", "Support", p.account)


def policy(p: Platform) -> Item:
    return Item(f"notification_policy:{p.notification_policy}", "license_expiring", p.account)


def new_person(connection: psycopg.Connection, email: str) -> int:
    person: int = value(
        connection,
        "insert into licensing.platform_users (email, password_hash) values (%s, 'hash-0')"
        " returning id",
        email,
    )
    return person


def give_permissions(connection: psycopg.Connection, template: int) -> None:
    connection.execute(
        "insert into licensing.user_permission_template_permissions (template_id, resource, level)"
        " values (%s, 'licenses', 'read'), (%s, 'orders', 'none')",
        [template, template],
    )


# Platform users


def test_platform_user_added(connection: psycopg.Connection, p: Platform) -> None:
    person = new_person(connection, "new@x.example")
    item = Item(f"platform_user:{person}", "new@x.example", p.account)
    assert logged(
        connection,
        "insert into licensing.memberships (account_id, platform_user_id, permissions)"
        " values (%s, %s, %s)",
        *(p.account, person, Jsonb({"orders": "manage"})),
    ) == [
        item.row(
            "platform_user_added",
            created(
                account_id=p.account,
                platform_user_id=person,
                is_admin=False,
                permissions={"orders": "manage"},
            ),
        )
    ]


def test_platform_user_updated_in_the_account(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "update licensing.memberships set is_admin = true, permissions = %s"
        " where platform_user_id = %s",
        *(Jsonb({"licenses": "manage"}), p.colleague),
    ) == [
        colleague(p).row(
            "platform_user_updated",
            changed(
                is_admin=(False, True),
                permissions=({"licenses": "read"}, {"licenses": "manage"}),
            ),
        )
    ]


def test_platform_user_updated_in_person(connection: psycopg.Connection, p: Platform) -> None:
    renamed = Item(f"platform_user:{p.colleague}", "cleo@x.example", p.account)
    assert logged(
        connection,
        "update licensing.platform_users set email = 'cleo@x.example', first_name = 'Cleo',"
        " last_name = 'Roy', phone = '123', password_hash = 'hash-1', last_login_at = now()"
        " where id = %s",
        p.colleague,
    ) == [
        renamed.row(
            "platform_user_updated",
            changed(
                email=("colleague@x.example", "cleo@x.example"),
                first_name=("Colleague", "Cleo"),
                last_name=(None, "Roy"),
                phone=(None, "123"),
                password_hash=REDACTED,
            ),
        )
    ]


def test_a_person_in_two_accounts_is_updated_in_both(
    connection: psycopg.Connection, p: Platform
) -> None:
    other = platform(connection, "y.example")
    connection.execute(
        "insert into licensing.memberships (account_id, platform_user_id) values (%s, %s)",
        [other.account, p.colleague],
    )
    assert logged(
        connection,
        "update licensing.platform_users set phone = '123' where id = %s",
        p.colleague,
    ) == rows(
        *(
            Item(f"platform_user:{p.colleague}", "colleague@x.example", account).row(
                "platform_user_updated", changed(phone=(None, "123"))
            )
            for account in (p.account, other.account)
        )
    )


def test_a_person_in_no_account_is_updated_in_the_empty_one(
    connection: psycopg.Connection, p: Platform
) -> None:
    person = new_person(connection, "nobody@x.example")
    assert logged(
        connection,
        "update licensing.platform_users set password_hash = 'hash-1' where id = %s",
        person,
    ) == [
        Item(f"platform_user:{person}", "nobody@x.example", "").row(
            "platform_user_updated", changed(password_hash=REDACTED)
        )
    ]


def test_platform_user_removed(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection, "delete from licensing.memberships where platform_user_id = %s", p.colleague
    ) == [
        colleague(p).row(
            "platform_user_removed",
            deleted(
                account_id=p.account,
                platform_user_id=p.colleague,
                is_admin=False,
                permissions={"licenses": "read"},
            ),
        )
    ]


def test_a_person_without_account_comes_logs_in_and_goes_unseen(
    connection: psycopg.Connection, p: Platform
) -> None:
    with recorded(connection) as found:
        person = new_person(connection, "nobody@x.example")
        connection.execute("update licensing.platform_users set last_login_at = now()")
        connection.execute("delete from licensing.platform_users where id = %s", [person])
    assert seen(found) == []


def test_users_set_to_what_they_are_are_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    with recorded(connection) as found:
        connection.execute(
            "update licensing.memberships set is_admin = is_admin, permissions = permissions"
        )
        connection.execute(
            "update licensing.platform_users set email = email, phone = phone,"
            " password_hash = password_hash, updated_at = now()"
        )
    assert seen(found) == []


# Permission templates


def test_user_permission_template_created(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        new: int = value(
            connection,
            "insert into licensing.user_permission_templates (account_id, name, description)"
            " values (%s, 'Sales', 'Sells') returning id",
            p.account,
        )
    assert seen(found) == [
        Item(f"user_permission_template:{new}", "Sales", p.account).row(
            "user_permission_template_created",
            created(id=new, account_id=p.account, name="Sales", description="Sells"),
        )
    ]


def test_user_permission_template_updated(connection: psycopg.Connection, p: Platform) -> None:
    renamed = Item(f"user_permission_template:{p.permission_template}", "Help desk", p.account)
    assert logged(
        connection,
        "update licensing.user_permission_templates set name = 'Help desk', description = 'Helps'",
    ) == [
        renamed.row(
            "user_permission_template_updated",
            changed(name=("Support", "Help desk"), description=(None, "Helps")),
        )
    ]


def test_user_permission_template_permissions_set_by_insert(
    connection: psycopg.Connection, p: Platform
) -> None:
    connection.execute(
        "insert into licensing.user_permission_templates (account_id, name) values (%s, 'Sales')",
        [p.account],
    )
    found = logged(
        connection,
        "insert into licensing.user_permission_template_permissions (template_id, resource, level)"
        " select id, resource, 'read' from licensing.user_permission_templates,"
        " unnest(array['licenses', 'orders']) as resource",
    )
    others = value(
        connection, "select id from licensing.user_permission_templates where name = 'Sales'"
    )
    sales = Item(f"user_permission_template:{others}", "Sales", p.account)
    assert found == rows(
        *(
            item.row(
                "user_permission_template_permissions_set",
                created("permissions/licenses/", template_id=key, resource="licenses", level="read")
                | created("permissions/orders/", template_id=key, resource="orders", level="read"),
            )
            for item, key in ((template(p), p.permission_template), (sales, others))
        )
    )


def test_user_permission_template_permissions_set_by_update(
    connection: psycopg.Connection, p: Platform
) -> None:
    give_permissions(connection, p.permission_template)
    assert logged(
        connection,
        "update licensing.user_permission_template_permissions set level = 'manage'",
    ) == [
        template(p).row(
            "user_permission_template_permissions_set",
            changed("permissions/licenses/", level=("read", "manage"))
            | changed("permissions/orders/", level=("none", "manage")),
        )
    ]


def test_a_template_permission_that_stays_is_not_in_the_row(
    connection: psycopg.Connection, p: Platform
) -> None:
    give_permissions(connection, p.permission_template)
    set_to_read = "update licensing.user_permission_template_permissions set level = 'read'"
    assert logged(connection, set_to_read) == [
        template(p).row(
            "user_permission_template_permissions_set",
            changed("permissions/orders/", level=("none", "read")),
        )
    ]
    assert logged(connection, set_to_read) == []


def test_user_permission_template_permissions_set_by_delete(
    connection: psycopg.Connection, p: Platform
) -> None:
    give_permissions(connection, p.permission_template)
    assert logged(connection, "delete from licensing.user_permission_template_permissions") == [
        template(p).row(
            "user_permission_template_permissions_set",
            deleted(
                "permissions/licenses/",
                template_id=p.permission_template,
                resource="licenses",
                level="read",
            )
            | deleted(
                "permissions/orders/",
                template_id=p.permission_template,
                resource="orders",
                level="none",
            ),
        )
    ]


def test_a_template_permission_for_another_resource_is_one_that_goes_and_one_that_comes(
    connection: psycopg.Connection, p: Platform
) -> None:
    give_permissions(connection, p.permission_template)
    key = p.permission_template
    assert logged(
        connection,
        "update licensing.user_permission_template_permissions set resource = 'customers'"
        " where resource = 'orders'",
    ) == [
        template(p).row(
            "user_permission_template_permissions_set",
            deleted("permissions/orders/", template_id=key, resource="orders", level="none")
            | created(
                "permissions/customers/", template_id=key, resource="customers", level="none"
            ),
        )
    ]


def test_user_permission_template_deleted(connection: psycopg.Connection, p: Platform) -> None:
    give_permissions(connection, p.permission_template)
    key = p.permission_template
    assert logged(connection, "delete from licensing.user_permission_templates") == rows(
        template(p).row(
            "user_permission_template_deleted",
            deleted(id=key, account_id=p.account, name="Support", description=None),
        ),
        template(p).row(
            "user_permission_template_permissions_set",
            deleted("permissions/licenses/", template_id=key, resource="licenses", level="read")
            | deleted("permissions/orders/", template_id=key, resource="orders", level="none"),
            is_cascade=True,
        ),
    )


# Notification policies


def test_notification_policy_created(connection: psycopg.Connection, p: Platform) -> None:
    with recorded(connection) as found:
        new: int = value(
            connection,
            "insert into licensing.notification_policies"
            " (account_id, event_type, recipients, lead_time, subject, body, last_sent_at)"
            " values (%s, 'device_lost', '{a@x.example,b@x.example}', '1 month 2 days 03:04', 'S',"
            " 'B', now()) returning id",
            p.account,
        )
    assert seen(found) == [
        Item(f"notification_policy:{new}", "device_lost", p.account).row(
            "notification_policy_created",
            created(
                id=new,
                account_id=p.account,
                event_type="device_lost",
                is_enabled=True,
                recipients=["a@x.example", "b@x.example"],
                lead_time="1 mon 2 days 03:04:00",
                subject="S",
                body="B",
            ),
        )
    ]


def test_notification_policy_updated(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(
        connection,
        "update licensing.notification_policies set is_enabled = false, recipients = '{}',"
        " lead_time = '30 days', subject = 'S', body = 'B', last_sent_at = now()",
    ) == [
        policy(p).row(
            "notification_policy_updated",
            changed(
                is_enabled=(True, False),
                recipients=(["ops@x.example"], []),
                lead_time=(None, "30 days"),
                subject=(None, "S"),
                body=(None, "B"),
            ),
        )
    ]


def test_a_notification_that_is_sent_is_no_action(
    connection: psycopg.Connection, p: Platform
) -> None:
    assert (
        logged(connection, "update licensing.notification_policies set last_sent_at = now()") == []
    )


def test_notification_policy_deleted(connection: psycopg.Connection, p: Platform) -> None:
    assert logged(connection, "delete from licensing.notification_policies") == [
        policy(p).row(
            "notification_policy_deleted",
            deleted(
                id=p.notification_policy,
                account_id=p.account,
                event_type="license_expiring",
                is_enabled=True,
                recipients=["ops@x.example"],
                lead_time=None,
                subject=None,
                body=None,
            ),
        )
    ]
