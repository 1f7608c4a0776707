-- Rows of others that refer to a row which would go: they would go with it, or keep it.
create or replace function audit.undo_dependents(
  nets audit.undo_net[], child oid, parent oid, child_name text, parent_numbers text[],
  to_child text, row_key text
)
  returns audit.undo_net[]
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_nets audit.undo_net[];
begin
  if not exists (select from unnest(nets) as n
                 where n.target = parent and n.stayed and not n.was_there) then
    return nets;
  end if;
  execute format(
'with net as materialized (
  select row_number() over () as i, n.* from unnest($1) as n
), used as materialized (
  select n.i, array(select n.new_values ->> c.k
    from unnest($4) with ordinality as c (k, i) order by c.i) as vals
  from net as n
  where n.target = $3 and n.problem is null and n.stayed and not n.was_there
), known as materialized (
  select n.new_key::text as key from net as n where n.target = $2 and n.problem is null and n.stayed
), dependent as materialized (
  select u.i, count(*) as number
  from used as u
  join %s as c on %s
  where not exists (select from known as k where k.key = %s)
  group by 1
)
select array_agg((n.place, n.target, n.was_there, n.stayed, n.old_key, n.new_key, n.old_values,
    n.new_values, n.present, n.missing,
    n.conflicts || case when d.number is not null then format(''%%s of %%s refer%%s to it'',
      d.number, $5, case when d.number = 1 then ''s'' end) end,
    n.problem)::audit.undo_net)
from net as n
left join dependent as d on d.i = n.i', child_name, to_child,
      coalesce(format('array[%s]::text[]::text', row_key), 'null'))
    into v_nets
    using nets, child, parent, parent_numbers, child_name;
  return v_nets;
end;
$$;

revoke all on function
  audit.undo_dependents(audit.undo_net[], oid, oid, text, text[], text, text) from public;

comment on function audit.undo_dependents(audit.undo_net[], oid, oid, text, text[], text, text) is
  'Says of rows that would go which rows of others refer to them.';
