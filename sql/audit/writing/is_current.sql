-- The guard of every compiled function against a table that has changed since.
create or replace function audit.is_current(
  tracked_id integer, fingerprint text, variadic tables regclass[]
)
  returns boolean
  language plpgsql
  -- Declared immutable so that it is answered once, when a session plans it. The plan depends on
  -- the tables named by the constants in its arguments, so any ALTER TABLE asks again.
  immutable
  -- Asked by functions that may read nothing themselves.
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
declare
  v_tracked audit.tracked;
  v_detail text;
begin
  select * into v_tracked from audit.tracked as k where k.id = tracked_id;
  if not found then
    raise exception 'this trigger was compiled from a declaration that is gone (number %)',
      tracked_id
      using errcode = 'UA003',
        hint = 'Declare the table again with audit.track(), or drop its triggers _audit_*. A dump of '
          'the schema alone has no declarations: take the data of audit.tracked along.';
  end if;
  if audit.fingerprint(v_tracked) <> is_current.fingerprint
    -- A trigger that may change columns which the statement does not name needs the wider trigger.
    -- Of a partition's own triggers the event triggers and audit.check() know: to look through all
    -- partitions for each of them would take the square of their number.
    or (v_tracked.compiled -> 'triggers' ->> '_audit_update' like 'after update of %'
      and (select r.has_before_update from audit.table_trait(v_tracked.target, false) as r))
    -- One that is gone says nothing itself.
    or v_tracked.trigger_count > (
      select count(*) from pg_trigger as g
      where g.tgrelid = v_tracked.target and starts_with(g.tgname, '_audit_'))
  then
    v_detail := 'Its columns, those it looks up or its triggers are not what they were.';
  -- Compiled in another database, by whose numbers the next change here would not be noticed.
  elsif v_tracked.tables::oid[] <> is_current.tables::oid[] and not audit.follows_ddl() then
    v_detail := 'It was restored, and nothing follows its changes yet.';
  end if;
  if v_detail is not null then
    raise exception 'table % has changed since its audit triggers were compiled',
      v_tracked.target
      using errcode = 'UA003', detail = v_detail,
        hint = case when audit.key_of(v_tracked.target) = '{}'
          then format('Run: alter table %s add primary key (...);', v_tracked.target)
          else format('Run: select audit.refresh(%L);', v_tracked.target) end;
  end if;
  return true;
end;
$$;

revoke all on function audit.is_current(integer, text, regclass[]) from public;

comment on function audit.is_current(integer, text, regclass[]) is
  'True, or an error that names audit.refresh() when a table no longer fits its triggers.';
