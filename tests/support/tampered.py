"""What somebody with the rights of the log's owner can do to it, and what a check says then."""

from dataclasses import dataclass, field

REPLACED = (
    "create or replace function {0} returns {1} language plpgsql {2} as $f$ begin {3} end $f$"
)


@dataclass(frozen=True, slots=True)
class Tampered:
    """Something done to the log, by which SQL, and the findings: code and object."""

    what: str
    statements: str
    found: list[tuple[str, str]]
    needs_superuser: bool = False
    more: tuple[str, ...] = field(default=(), kw_only=True)
    """The codes of further findings, which follow from it."""
    is_mended: bool = field(default=True, kw_only=True)
    """Whether all of it is repaired by what the findings say."""


def replaced(name: str, result: str, body: str, options: str = "") -> str:
    return REPLACED.format(f"audit.{name}", result, options, body)


IS_CURRENT = "audit.is_current(tracked_id integer, fingerprint text, VARIADIC tables regclass[])"
SET_ACTOR = (
    "audit.set_actor(actor_type text, actor_id anycompatible, actor_label text, context text)"
)
LOSE = "create function public.lose() returns trigger language plpgsql as 'begin return null; end';"
CODE = [("check_not_asked", "audit.check(interval)")]

TAMPERED = (
    # -- the code --
    Tampered(
        "refuse_change allows",
        replaced("refuse_change()", "trigger", "return new;"),
        [("code_changed", "audit.refuse_change()"), *CODE],
    ),
    Tampered(
        "is_current says yes",
        "create or replace function audit.is_current(tracked_id integer, fingerprint text,"
        " variadic tables regclass[]) returns boolean language sql immutable as 'select true'",
        [("code_changed", IS_CURRENT), *CODE],
    ),
    Tampered(
        "log_truncate silent",
        replaced("log_truncate()", "trigger", "return null;", "security definer"),
        [("code_changed", "audit.log_truncate()"), *CODE],
    ),
    Tampered(
        "reopen_partition silent",
        replaced("reopen_partition()", "trigger", "return new;", "security definer"),
        [("code_changed", "audit.reopen_partition()"), *CODE],
    ),
    Tampered(
        "write_log_event writes nothing",
        "create or replace function audit.write_log_event(action text, account_id text,"
        " details jsonb) returns bigint language sql as 'select 1::bigint'",
        [
            (
                "code_changed",
                "audit.write_log_event(action text, account_id text, details jsonb)",
            ),
            *CODE,
        ],
    ),
    Tampered(
        "set_actor takes the setting as it is",
        "do $d$ declare v text; begin select replace(pg_get_functiondef(p.oid), 'v_', 'w_') into v"
        " from pg_proc as p where p.proname = 'set_actor' and p.prosrc ~ 'v_' limit 1;"
        " execute v; end $d$",
        [("code_changed", SET_ACTOR), *CODE],
    ),
    Tampered(
        "check says that all is well",
        "create or replace function audit.check(pending_after interval default '1 hour')"
        " returns setof audit.finding language sql stable security definer as"
        " 'select null::text, null::text, null::text, null::text, null::text where false'",
        [("code_changed", "audit.check(pending_after interval)"), *CODE],
    ),
    Tampered(
        "a part of check says so",
        "create or replace function audit.check_guard() returns setof audit.finding language sql"
        " stable as 'select f.* from unnest(null::audit.finding[]) as f'",
        [("code_changed", "audit.check_guard()"), *CODE],
    ),
    Tampered(
        "check is another's",
        "alter function audit.check(interval) rename to former",
        [
            ("code_changed", "audit.check(pending_after interval)"),
            ("code_extra", "audit.former(pending_after interval)"),
            *CODE,
        ],
    ),
    Tampered(
        "a function with the rights of who calls it",
        "alter function audit.write_table_event(text, text, jsonb, text) security invoker",
        [
            (
                "code_changed",
                "audit.write_table_event(action text, name text, changes jsonb, part_of text)",
            ),
            *CODE,
        ],
    ),
    Tampered(
        "a function with another search_path",
        "alter function audit.maintain(interval) set search_path = public, pg_catalog",
        [("code_changed", "audit.maintain(ahead interval)"), *CODE],
    ),
    Tampered(
        "a guard that is volatile, and costs",
        "alter function audit.as_compiled(anyelement, anyelement) volatile cost 9",
        [
            ("code_changed", "audit.as_compiled(value anyelement, type anyelement)"),
            *CODE,
        ],
    ),
    Tampered(
        "a function strict, so that it returns null",
        "alter function audit.demand_actor(text) strict",
        [("code_changed", "audit.demand_actor(name text)"), *CODE],
    ),
    Tampered(
        "an overload that is taken first",
        "create function audit.is_current(integer, text, regclass) returns boolean language sql"
        " as 'select true'",
        [("code_extra", "audit.is_current(integer, text, regclass)"), *CODE],
    ),
    Tampered(
        "a function of somebody else",
        "alter function audit.log_truncate() owner to audit_reader",
        [("owner_changed", "function audit.log_truncate()"), *CODE],
        needs_superuser=True,
    ),
    Tampered(
        "a function gone",
        "drop function audit.horizon(timestamptz)",
        [("code_changed", "audit.horizon(not_before timestamp with time zone)"), *CODE],
    ),
    Tampered(
        "a function more",
        "create function audit.helper() returns int language sql as 'select 1'",
        [("code_extra", "audit.helper()")],
        more=("triggers_stale",),
    ),
    Tampered(
        "PostgreSQL's own name for another function",
        "create function pg_catalog.current_setting(varchar, boolean) returns text language sql"
        " as 'select null::text'",
        [
            ("code_shadowed", "function pg_catalog.current_setting(character varying, boolean)"),
            *CODE,
        ],
        needs_superuser=True,
    ),
    Tampered(
        "a reader of whole rows that lies",
        "create or replace function audit.layout_1_text(row_values text, is_deleted boolean)"
        " returns text language sql as $$select '{}'$$",
        [("layout_changed", "audit.layout_1_text")],
    ),
    Tampered(
        "a compiled function replaced, and what is kept of it too",
        "create or replace function audit.licensing_orders_insert() returns trigger language"
        " plpgsql security definer set search_path = pg_catalog, pg_temp as 'begin return null;"
        " end'; update audit.tracked set compiled = jsonb_set(compiled,"
        " '{functions,licensing_orders_insert}', to_jsonb('x'::text))"
        " where table_name = 'licensing.orders'",
        [("function_changed", "audit.licensing_orders_insert()")],
    ),
)

OTHERS = (
    # -- the log and its partitions --
    Tampered(
        "a rule on the log",
        "create rule nothing as on insert to audit.log do instead nothing",
        [("rule_extra", "nothing on audit.log")],
    ),
    Tampered(
        "a rule on a partition",
        "create rule nothing as on update to audit.log_past do instead nothing",
        [("rule_extra", "nothing on audit.log_past")],
    ),
    Tampered(
        "a trigger before rows of the log",
        f"{LOSE}"
        "create trigger a before insert on audit.log for each row execute function public.lose()",
        [("trigger_extra", "a on audit.log")],
        more=("trigger_extra",),
    ),
    Tampered(
        "a trigger on one partition",
        f"{LOSE}"
        "create trigger a before insert on audit.log_past for each row"
        " execute function public.lose()",
        [("trigger_extra", "a on audit.log_past")],
    ),
    Tampered(
        "the guard calls something else",
        "create function public.lose() returns trigger language plpgsql as 'begin return new; end';"
        "drop trigger refuse_change on audit.log; create trigger refuse_change before update or"
        " delete on audit.log for each row execute function public.lose();"
        "alter table audit.log enable always trigger refuse_change",
        [
            ("guard_missing", "refuse_change on audit.log"),
            ("trigger_extra", "refuse_change on audit.log"),
        ],
        more=("trigger_extra",),
    ),
    Tampered(
        "the guard for some rows alone",
        "drop trigger refuse_change on audit.log; create trigger refuse_change before update or"
        " delete on audit.log for each row when (old.item_id <> '1') execute function"
        " audit.refuse_change(); alter table audit.log enable always trigger refuse_change",
        [("guard_changed", "refuse_change on audit.log")],
    ),
    Tampered(
        "a partition unlogged",
        "alter table audit.log_past set unlogged",
        [("log_unlogged", "audit.log_past")],
    ),
    Tampered(
        "another default of a column",
        "alter table audit.log alter column occurred_at set default '2001-01-01'",
        [("table_changed", "audit.log")],
    ),
    Tampered(
        "a column without its default",
        "alter table audit.log alter column tx drop default",
        [("table_changed", "audit.log")],
    ),
    Tampered(
        "a column may be null",
        "alter table audit.log alter column account_id drop not null",
        [("table_changed", "audit.log")],
    ),
    Tampered(
        "a column more",
        "alter table audit.log add column note text",
        [("table_changed", "audit.log")],
    ),
    Tampered(
        "a column of another type",
        "alter table audit.option alter column value type varchar(9)",
        [("table_changed", "audit.option")],
    ),
    Tampered(
        "statistics of what belongs to accounts",
        "alter table audit.log_past alter column item_id set statistics 100",
        [("partition_changed", "audit.log_past")],
    ),
    Tampered(
        "rows forced through the policies of their owner",
        "alter table audit.log force row level security",
        [("table_changed", "audit.log")],
    ),
    Tampered(
        "a constraint that refuses an action",
        "alter table audit.log add constraint c check (action <> 'license_deleted') not valid",
        [("table_changed", "audit.log")],
    ),
    Tampered(
        "a partition made by hand",
        "alter table audit.log detach partition audit.log_past; drop table audit.log_past;"
        "do $d$ begin execute format('create table audit.log_past partition of audit.log for values"
        " from (minvalue) to (%L)', (select min(lower_bound) from audit.partition_list()));"
        " end $d$",
        [
            ("guard_missing", "refuse_truncate on audit.log_past"),
            ("policy_missing", "account_policy on audit.log_past"),
            ("policy_missing", "exporter_policy on audit.log_past"),
            ("row_security_missing", "audit.log_past"),
            ("partition_changed", "audit.log_past"),
        ],
    ),
    Tampered(
        "a partition of somebody else",
        "alter table audit.log_past owner to audit_reader",
        [("partition_changed", "audit.log_past")],
        needs_superuser=True,
    ),
    Tampered(
        "the log of somebody else",
        "alter table audit.log owner to audit_reader",
        [("owner_changed", "audit.log"), *CODE],
        needs_superuser=True,
        more=("grant_missing",),
    ),
    # -- beside it --
    Tampered(
        "a table that inherits from the eras",
        "create table public.more () inherits (audit.era)",
        [("table_changed", "audit.era")],
    ),
    Tampered(
        "rows of a side table in memory",
        "alter table audit.era set unlogged",
        [("table_changed", "audit.era")],
    ),
    Tampered(
        "the layouts without a primary key",
        "alter table audit.layout drop constraint layout_pkey",
        [("table_changed", "audit.layout")],
    ),
    Tampered(
        "the log without an index",
        "drop index audit.log_page_idx",
        [("index_missing", "audit.log_page_idx")],
    ),
    Tampered(
        "a unique index that makes writes fail",
        "create unique index once on audit.log (occurred_at, account_id)",
        [("index_extra", "audit.once")],
    ),
    Tampered(
        "a sequence that begins again",
        "alter table audit.tracked alter column id set maxvalue 7 set cycle",
        [("sequence_changed", "audit.tracked_id_seq")],
    ),
    Tampered(
        "a policy on a summary",
        "create policy all_of_it on audit.presence using (true)",
        [("policy_extra", "all_of_it on audit.presence")],
    ),
    Tampered(
        "a summary without row security",
        "alter table audit.belonging disable row level security",
        [("row_security_missing", "audit.belonging")],
    ),
    Tampered(
        "a type of the log with a column more",
        "alter type audit.row_sql add attribute more text",
        [("code_changed", "audit.row_sql"), *CODE],
    ),
    # -- views --
    Tampered(
        "events with a WHERE",
        "do $d$ begin execute 'create or replace view audit.events with (security_invoker = true)"
        " as ' || rtrim(pg_get_viewdef('audit.events'::regclass), ';')"
        " || ' where item_type <> ''licence'''; end $d$",
        [("code_changed", "audit.events"), *CODE],
    ),
    Tampered(
        "actions of another list",
        "create or replace view audit.actions with (security_invoker = true) as select"
        " a.action, a.label, a.label as description, null::text[] as item_types,"
        " null::text[] as recorded_on, true as is_recorded from audit.action as a",
        [("code_changed", "audit.actions"), *CODE],
    ),
    Tampered(
        "a view with the rights of its owner",
        "alter view audit.changes set (security_invoker = off)",
        [("view_bypasses", "audit.changes")],
    ),
    # -- rights --
    Tampered(
        "all functions for everybody",
        "grant execute on all functions in schema audit to public",
        [("grant_extra", "public")],
    ),
    Tampered(
        "everybody may make things in the schema",
        "grant create on schema audit to public",
        [("grant_extra", "public")],
    ),
    Tampered(
        "somebody may make things in the schema",
        "grant create on schema audit to audit_reader",
        [("grant_extra", "audit_reader")],
    ),
    Tampered(
        "side tables for everybody",
        "grant insert, update on audit.tracked, audit.closed_partition to public;"
        " grant usage on sequence audit.tracked_id_seq to public",
        [("grant_extra", "public")],
    ),
    Tampered(
        "a column of a side table for a reader",
        "grant update (began_at) on audit.era to audit_reader",
        [("grant_extra", "audit_reader")],
    ),
    Tampered(
        "functions that write the log for a reader",
        "grant execute on function audit.write_log_event(text, text, jsonb) to audit_reader",
        [("grant_extra", "audit_reader")],
    ),
    Tampered(
        "nobody may name an actor",
        "do $d$ declare v regprocedure; begin for v in select oid from pg_proc"
        " where proname = 'set_actor' loop execute 'revoke execute on function ' || v ||"
        " ' from public'; end loop; end $d$",
        [("grant_missing", "public")],
    ),
    Tampered(
        "rights on what will be made",
        "alter default privileges in schema audit grant select on tables to audit_maintainer",
        [("default_rights", "tables to audit_maintainer of <owner>")],
    ),
    Tampered(
        "a role of compiled functions with all rights",
        "alter role audit_writer superuser; grant pg_read_all_data to audit_lookup",
        [("role_powers", "audit_lookup"), ("role_powers", "audit_writer")],
        needs_superuser=True,
    ),
    # -- DDL --
    Tampered(
        "an event trigger that does nothing",
        "drop event trigger audit_after_ddl; create function public.idle() returns event_trigger"
        " language plpgsql as 'begin end'; create event trigger audit_after_ddl on ddl_command_end"
        " execute function public.idle(); alter event trigger audit_after_ddl enable always",
        [("event_trigger_changed", "audit_after_ddl")],
        needs_superuser=True,
    ),
    # -- what hands the log to others --
    Tampered(
        "a materialised view for everybody",
        "create materialized view public.copy as select * from audit.log;"
        "grant select on public.copy to public",
        [("view_copies", "public.copy")],
    ),
    Tampered(
        "a function that reads the log for everybody",
        "create function public.all_of_it() returns setof audit.log language sql security definer"
        " as 'select * from audit.log'",
        [("function_bypasses", "public.all_of_it()")],
    ),
    # -- data --
    Tampered(
        "an era too many",
        "insert into audit.era (number, log, server, kind) select 2, log, server, 'restored'"
        " from audit.era",
        [("era_wrong", "audit.era")],
        is_mended=False,
    ),
    Tampered(
        "an era of another log",
        "update audit.era set number = 0, log = gen_random_uuid()",
        [("era_wrong", "audit.era")],
        is_mended=False,
    ),
    Tampered(
        "a partition closed before its time",
        "insert into audit.closed_partition (partition, lower_bound, upper_bound)"
        " select l.partition, l.lower_bound, l.upper_bound from audit.partition_list() as l"
        " where l.partition = 'log_past'",
        [("summary_wrong", "audit.log_past")],
    ),
)
"""What is done to tables, views, rights and rows."""
