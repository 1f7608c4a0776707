-- Whether a trigger is there and fires always, also in a session that plays the replica.
create or replace function audit.has_trigger(
  relation regclass, trigger_name text, or_disabled boolean default false
)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_trigger as g
    where g.tgrelid = relation and g.tgname = trigger_name
      and (g.tgenabled = 'A' or (or_disabled and g.tgenabled = 'D')))
$$;

revoke all on function audit.has_trigger(regclass, text, boolean) from public;

comment on function audit.has_trigger(regclass, text, boolean) is
  'Whether a trigger of this name exists on a table and is enabled always (or disabled by hand).';
