"""What can be wrong with the log, each with SQL that makes it so and the findings to expect."""

from dataclasses import dataclass

LICENSES = "licensing.licenses"
PARTED = (
    "create table public.parted (id integer primary key, note text) partition by range (id);"
    "create table public.parted_1 partition of public.parted for values from (0) to (10);"
)
TRACKED = f"{PARTED} select audit.track('public.parted');"
TABLES = """
create schema licensing;
create table licensing.orders (id integer primary key, reference text);
create table licensing.order_managers (
  order_id integer references licensing.orders on delete cascade,
  email text,
  primary key (order_id, email)
);
create table licensing.product_features (id integer primary key, code text);
create table licensing.licenses (id integer primary key, note text);
create table licensing.license_features (
  license_id integer,
  feature_id integer references licensing.product_features,
  max_consumption integer,
  primary key (license_id, feature_id)
);
select audit.track('licensing.orders');
select audit.track('licensing.order_managers', item_label => 'orders.reference',
  lookups => '{"orders": "order_id"}');
select audit.track('licensing.product_features');
select audit.track('licensing.licenses');
select audit.track('licensing.license_features', item_type => 'license', item_id => 'license_id',
  lookups => '{"feature": "feature_id"}', part => 'features', part_name => 'feature.code');
"""
UNFOLLOWED = (
    "alter event trigger audit_before_ddl disable; alter event trigger audit_after_ddl disable;"
)
FOLLOWED = (
    "alter event trigger audit_before_ddl enable always;"
    "alter event trigger audit_after_ddl enable always;"
)


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that is broken, by which SQL, and the findings: code and object."""

    what: str
    statements: str
    found: list[tuple[str, str]]


BROKEN = (
    Broken(
        "a column added without event triggers",
        f"{UNFOLLOWED} alter table {LICENSES} add column colour text; {FOLLOWED}",
        [("triggers_stale", LICENSES)],
    ),
    Broken(
        "a column of a lookup renamed without event triggers",
        f"{UNFOLLOWED}"
        "alter table licensing.product_features rename column code to short;"
        f"{FOLLOWED}",
        [
            ("triggers_stale", "licensing.product_features"),
            ("triggers_stale", "licensing.license_features"),
        ],
    ),
    Broken(
        "a widened trigger",
        f"select audit.widen('{LICENSES}')",
        [("triggers_stale", LICENSES)],
    ),
    Broken(
        "a table dropped without event triggers",
        "create table public.thing (id int primary key); select audit.track('public.thing');"
        f"{UNFOLLOWED} drop table public.thing;"
        f"{FOLLOWED}",
        [("table_gone", "public.thing")],
    ),
    Broken(
        "a primary key dropped",
        "alter table licensing.orders drop constraint orders_pkey cascade",
        [("key_missing", "licensing.orders")],
    ),
    Broken(
        "a trigger before update",
        "create function public.f() returns trigger language plpgsql as 'begin return new; end';"
        f"{UNFOLLOWED}"
        f"create trigger f before update on {LICENSES} for each row execute function public.f();"
        f"{FOLLOWED}",
        [("update_trigger_narrow", LICENSES)],
    ),
    Broken(
        "a function replaced",
        "create or replace function audit.licensing_orders_insert() returns trigger"
        " language plpgsql security definer as 'begin return null; end'",
        [("function_changed", "audit.licensing_orders_insert()")],
    ),
    Broken(
        "a function altered",
        "alter function audit.licensing_orders_insert() security invoker",
        [("function_changed", "audit.licensing_orders_insert()")],
    ),
    Broken(
        "a setting of a function gone",
        "alter function audit.licensing_order_managers_insert() reset row_security",
        [("function_changed", "audit.licensing_order_managers_insert()")],
    ),
    Broken(
        "a function that reads whole rows gone",
        "drop function audit.layout_1_values",
        [("layout_missing", "audit.layout_1")],
    ),
    Broken(
        "the type of whole rows gone",
        "drop type audit.layout_1",
        [("layout_missing", "audit.layout_1")],
    ),
    Broken(
        "the type of whole rows of another shape",
        "alter type audit.layout_1 drop attribute reference",
        [("layout_changed", "audit.layout_1")],
    ),
    Broken(
        "somebody who has the rights of compiled functions",
        "create role auditdb_forger; grant audit_writer, audit_lookup to auditdb_forger",
        [
            ("role_member", "auditdb_forger in audit_lookup"),
            ("role_member", "auditdb_forger in audit_writer"),
        ],
    ),
    Broken(
        "a function of another owner",
        "alter function audit.licensing_orders_insert() owner to pg_read_all_data",
        [("function_owner", "audit.licensing_orders_insert()")],
    ),
    Broken(
        "a function and its trigger gone",
        f"{UNFOLLOWED} drop function audit.licensing_orders_insert() cascade; {FOLLOWED}",
        [
            ("function_changed", "audit.licensing_orders_insert()"),
            ("trigger_missing", "_audit_insert on licensing.orders"),
        ],
    ),
    Broken(
        "a table restored where nothing follows DDL",
        "update audit.layout as y set relation = y.relation::int8 + 1 from audit.tracked as k"
        " where k.target = 'licensing.orders'::regclass and y.id = k.layout;"
        "alter event trigger audit_after_ddl disable",
        [
            ("event_trigger_disabled", "audit_after_ddl"),
            ("table_restored", "licensing.orders"),
        ],
    ),
    Broken(
        "a trigger gone",
        f"{UNFOLLOWED} drop trigger _audit_delete on licensing.orders; {FOLLOWED}",
        [("trigger_missing", "_audit_delete on licensing.orders")],
    ),
    Broken(
        "a trigger with a condition",
        f"{UNFOLLOWED}"
        "drop trigger _audit_update on licensing.orders;"
        "create trigger _audit_update after update on licensing.orders for each row"
        " when (new.id < 0) execute function audit.licensing_orders_update();"
        "alter table licensing.orders enable always trigger _audit_update;"
        f"{FOLLOWED}",
        [("trigger_changed", "_audit_update on licensing.orders")],
    ),
    Broken(
        "a trigger disabled",
        "alter table licensing.orders disable trigger _audit_update",
        [("trigger_disabled", "_audit_update on licensing.orders")],
    ),
    Broken(
        "a trigger that is not always on",
        f"{UNFOLLOWED} alter table licensing.orders enable trigger _audit_update; {FOLLOWED}",
        [("trigger_not_always", "_audit_update on licensing.orders")],
    ),
    Broken(
        "a partition without its trigger",
        f"{TRACKED} {UNFOLLOWED}"
        "create table public.parted_2 partition of public.parted for values from (10) to (20);"
        f"{FOLLOWED}",
        [("trigger_missing", "_audit_truncate on public.parted_2")],
    ),
    Broken(
        "a partition's trigger disabled",
        f"{TRACKED} alter table public.parted_1 disable trigger _audit_insert",
        [("trigger_disabled", "_audit_insert on public.parted_1")],
    ),
    Broken(
        "a partitioned table's trigger disabled",
        f"{TRACKED} alter table public.parted disable trigger _audit_insert",
        [("trigger_disabled", "_audit_insert on public.parted")],
    ),
    Broken(
        "event triggers gone",
        "drop event trigger audit_before_ddl; drop event trigger audit_after_ddl;"
        "drop event trigger audit_after_drop; drop event trigger audit_after_subscription",
        [
            ("event_trigger_missing", "audit_after_ddl"),
            ("event_trigger_missing", "audit_before_ddl"),
            ("event_trigger_missing", "audit_after_drop"),
            ("event_trigger_missing", "audit_after_subscription"),
        ],
    ),
    Broken(
        "an event trigger disabled",
        "alter event trigger audit_after_ddl disable",
        [("event_trigger_disabled", "audit_after_ddl")],
    ),
    Broken(
        "an event trigger that replicas skip",
        "alter event trigger audit_before_ddl enable",
        [("event_trigger_disabled", "audit_before_ddl")],
    ),
    Broken(
        "the guard gone",
        "drop trigger refuse_change on audit.log",
        [("guard_missing", "refuse_change on audit.log")],
    ),
    Broken(
        "the guard disabled",
        "alter table audit.log disable trigger refuse_change",
        [("guard_disabled", "refuse_change on audit.log")],
    ),
    Broken(
        "the guard against truncate disabled",
        "alter table audit.log disable trigger refuse_truncate",
        [("guard_disabled", "refuse_truncate on audit.log")],
    ),
    Broken(
        "a partition's guards gone and disabled",
        "drop trigger refuse_truncate on audit.log_past;"
        "alter table audit.log_past disable trigger refuse_change;",
        [
            ("guard_missing", "refuse_truncate on audit.log_past"),
            ("guard_disabled", "refuse_change on audit.log_past"),
        ],
    ),
    Broken(
        "public may read the log",
        "grant select on audit.log to public",
        [("log_granted", "audit.log to public")],
    ),
    Broken(
        "somebody may write the log",
        "grant select, insert, truncate on audit.log to pg_monitor;"
        "grant update (action) on audit.log_past to pg_monitor;",
        [
            ("log_granted", "audit.log to pg_monitor"),
            ("log_granted", "audit.log_past to pg_monitor"),
        ],
    ),
    Broken(
        "somebody may read a partition",
        "grant select on audit.log_past to pg_monitor",
        [("log_granted", "audit.log_past to pg_monitor")],
    ),
    Broken(
        "an import that was broken off",
        'select audit.open_import(\'{"sha256": "x", "rows": 5, "layouts": []}\')',
        [("import_open", "audit.log")],
    ),
    Broken(
        "a partition without row security",
        "alter table audit.log_past disable row level security",
        [("row_security_missing", "audit.log_past")],
    ),
    Broken(
        "a partition without the policy",
        "drop policy account_policy on audit.log_past",
        [("policy_missing", "account_policy on audit.log_past")],
    ),
    Broken(
        "the log without the policy",
        "drop policy account_policy on audit.log",
        [("policy_missing", "account_policy on audit.log")],
    ),
    Broken(
        "a partition with a weaker policy",
        "drop policy account_policy on audit.log_past;"
        "create policy account_policy on audit.log_past for select using (true)",
        [("policy_missing", "account_policy on audit.log_past")],
    ),
    Broken(
        "a partition with a policy more",
        "create policy all_of_it on audit.log_past for select to pg_monitor using (true)",
        [("policy_extra", "all_of_it on audit.log_past")],
    ),
    Broken(
        "the log itself without row security",
        "alter table audit.log disable row level security",
        [("row_security_missing", "audit.log")],
    ),
    Broken(
        "the log itself with a weaker policy",
        "alter policy account_policy on audit.log using (true)",
        [("policy_missing", "account_policy on audit.log")],
    ),
    Broken(
        "nothing for exporters",
        "drop policy exporter_policy on audit.log; drop policy exporter_policy on audit.log_past",
        [
            ("policy_missing", "exporter_policy on audit.log"),
            ("policy_missing", "exporter_policy on audit.log_past"),
        ],
    ),
    Broken(
        "a policy that shows all to everybody",
        "create policy all_of_it on audit.log for select using (true)",
        [("policy_extra", "all_of_it on audit.log")],
    ),
    Broken(
        "roles without their rights",
        "revoke select on audit.events, audit.changes from audit_reader;"
        "revoke execute on function audit.record_export(jsonb) from audit_exporter;"
        "revoke select on audit.closed_partition from audit_maintainer;",
        [
            ("grant_missing", "audit_reader"),
            ("grant_missing", "audit_exporter"),
            ("grant_missing", "audit_maintainer"),
        ],
    ),
    Broken(
        "views that read with the rights of their owner",
        "alter view audit.changes set (security_invoker = false);"
        "create view licensing.page as select * from audit.events;"
        "create view licensing.month as select id from audit.log_past;",
        [
            ("view_bypasses", "audit.changes"),
            ("view_bypasses", "licensing.page"),
            ("view_bypasses", "licensing.month"),
        ],
    ),
    Broken(
        "a row in the catch-all of the future",
        "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
        " db_role) values ('2999-12-31', 'a', 't', '1', 'x', 'x', 'x')",
        [("rows_in_catch_all", "audit.log_future")],
    ),
    Broken(
        "no partition for the past",
        "alter table audit.log detach partition audit.log_past; drop table audit.log_past",
        [("partition_missing", "audit.log_past")],
    ),
    Broken(
        "no partition for the future",
        "alter table audit.log detach partition audit.log_future",
        [("partition_missing", "audit.log_future")],
    ),
    Broken(
        "an invalid index",
        "update pg_index set indisvalid = false"
        " where indexrelid = 'audit.log_past_account_id_occurred_at_idx'::regclass",
        [("index_invalid", "audit.log_past_account_id_occurred_at_idx")],
    ),
    Broken(
        "an index left over by a reindex that was broken off",
        "create index log_past_page_idx_ccnew on audit.log_past (id);"
        "update pg_index set indisvalid = false"
        " where indexrelid = 'audit.log_past_page_idx_ccnew'::regclass",
        [("index_invalid", "audit.log_past_page_idx_ccnew")],
    ),
)
