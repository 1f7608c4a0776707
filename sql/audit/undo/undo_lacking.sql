-- A row that comes back needs each column that may not be null and has no default.
create or replace function audit.undo_lacking(nets audit.undo_net[])
  returns audit.undo_net[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array_agg((n.place, n.target, n.was_there, n.stayed, n.old_key, n.new_key, n.old_values,
    n.new_values, n.present, n.missing, n.conflicts,
    case when n.problem is null and n.was_there and not n.stayed then (
      select format('a row needs %s', string_agg(a.attname, ', ' order by a.attnum))
      from pg_attribute as a
      where a.attrelid = n.target and a.attnum > 0 and a.attnotnull and not a.atthasdef
        and a.attidentity = '' and not a.attisdropped
        and (not n.old_values ? a.attnum::text or n.missing ? a.attnum::text)
      having count(*) > 0)
    else n.problem end)::audit.undo_net)
  from unnest(undo_lacking.nets) as n
$$;

revoke all on function audit.undo_lacking(audit.undo_net[]) from public;

comment on function audit.undo_lacking(audit.undo_net[]) is
  'Says of rows that come back which of their columns the log does not have and they need.';
