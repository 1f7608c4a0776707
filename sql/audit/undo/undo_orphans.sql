-- Rows that would refer to what is not there, nor comes back with them.
create or replace function audit.undo_orphans(
  nets audit.undo_net[], child oid, parent oid, parent_name text, child_numbers text[],
  parent_numbers text[], to_parent text
)
  returns audit.undo_net[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_nets audit.undo_net[];
begin
  execute format(
'with net as materialized (
  select row_number() over () as i, n.* from unnest($1) as n
), used as materialized (
  select n.i, array(
    select case when n.old_values ? c.k then n.old_values ->> c.k else n.present ->> c.k end
      from unnest($4) with ordinality as c (k, i) order by c.i) as vals
  from net as n
  where n.target = $2 and n.problem is null and n.was_there
    and (not n.stayed or exists (select from unnest($4) as c (k)
      where n.old_values ->> c.k is distinct from n.new_values ->> c.k))
), back as materialized (
  select array(select n.old_values ->> c.k
    from unnest($5) with ordinality as c (k, i) order by c.i) as vals
  from net as n
  where n.target = $3 and n.problem is null and n.was_there
), orphan as materialized (
  select u.i, u.vals
  from used as u
  where array_position(u.vals, null) is null
    and not exists (select from %s as p where %s)
    and not exists (select from back as b where b.vals = u.vals)
)
select array_agg((n.place, n.target, n.was_there, n.stayed, n.old_key, n.new_key, n.old_values,
    n.new_values, n.present, n.missing,
    n.conflicts || case when n.stayed then o.message end,
    coalesce(n.problem, case when not n.stayed then o.message end))::audit.undo_net)
from net as n
left join lateral (
  select format(''%%s %%s is not there'', $6, array_to_string(o.vals, ''/'')) as message
  from orphan as o where o.i = n.i
) as o on true', parent_name, to_parent)
    into v_nets
    using nets, child, parent, child_numbers, parent_numbers, parent_name;
  return v_nets;
end;
$$;

revoke all on function
  audit.undo_orphans(audit.undo_net[], oid, oid, text, text[], text[], text) from public;

comment on function audit.undo_orphans(audit.undo_net[], oid, oid, text, text[], text[], text) is
  'Says of rows that are undone which rows they would refer to are not there.';
