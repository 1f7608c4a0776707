-- How the rows are there now: their values, read with the rights of whoever asks, and what of it is
-- not as it was left.
create or replace function audit.undo_present(nets audit.undo_net[])
  returns setof audit.undo_net
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_of_table record;
  v_joined text;
  v_names text;
  v_values text;
begin
  return query
    select (n).* from unnest(nets) as n where n.problem is not null;
  for v_of_table in
    select n.target, array_agg(n::audit.undo_net) as nets
    from unnest(nets) as n
    where n.problem is null
    group by n.target
  loop
    select string_agg(
        format('t.%s %s (u.key)[%s]::%s', k.ident, k.equals, k.place, k.type), ' and ')
      into v_joined
      from audit.tracked as t
      cross join lateral audit.undo_key(t) as k
      where t.target = v_of_table.target;
    select string_agg(quote_literal(a.attnum), ', ' order by a.attnum),
        string_agg(format('case when num_nulls(%1$s) = 0 then concat(%1$s) end', r.value), ', '
          order by a.attnum)
      into v_names, v_values
      from pg_attribute as a
      cross join lateral audit.record_value(audit.presented_type(a.atttypid),
        audit.presented(a.atttypid, 't.' || audit.quoted(a.attname))) as r
      where a.attrelid = v_of_table.target and a.attnum > 0 and not a.attisdropped
        and a.attgenerated = ''
        and exists (select from unnest(v_of_table.nets) as n
                    where n.old_values ? a.attnum::text or n.new_values ? a.attnum::text);
    return query execute format(
'select u.place, u.target, u.was_there, u.stayed, u.old_key, u.new_key, u.old_values, u.new_values,
  p.present, u.missing,
  u.conflicts || case
    when u.stayed and p.present is null then array[''the row is gone'']
    when not u.stayed and p.present is not null then array[''the row is there again'']
    when u.stayed then array(
      select a.attname || '' was changed since''
      from jsonb_each_text(u.new_values) as e
      join pg_attribute as a on a.attrelid = u.target and a.attnum = e.key::smallint
      where p.present ->> e.key is distinct from e.value and not u.missing ? e.key
        -- Which null it was, JSON does not tell.
        and not (a.atttypid = ''jsonb''::regtype
          and coalesce(p.present ->> e.key, ''null'') = coalesce(e.value, ''null''))
        and (not u.was_there or e.value is distinct from u.old_values ->> e.key
          or not u.old_values ? e.key)
      order by a.attnum)
    else ''{}'' end,
  u.problem
from (select n.*, case when n.stayed then n.new_key
        -- A row that gives the key back is no obstacle.
        when n.old_key not in (select m.new_key from unnest($1) as m where m.stayed)
        then n.old_key end as key
      from unnest($1) as n) as u
left join lateral (
  select jsonb_object(array[%s]::text[], array[%s]::text[]) as present
  from %s as t
  where %s
) as p on true',
      v_names, v_values, audit.name_of(v_of_table.target), v_joined)
      using v_of_table.nets;
  end loop;
end;
$$;

revoke all on function audit.undo_present(audit.undo_net[]) from public;

comment on function audit.undo_present(audit.undo_net[]) is
  'Adds to rows that are undone their present values, and what was changed since.';
