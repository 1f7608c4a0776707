-- When a tracked table has a new layout: how the columns of its earlier ones are called now. From the
-- newest one back a column is known again by its number, as long as the table was the same one; in a
-- restored table, whose columns are numbered anew, by its name. A column that is gone keeps its last
-- name, or where another one has that now, the name with its number.
create or replace function audit.follow_layouts(tracked_id integer)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_layout record;
  v_relation oid;
  v_later jsonb;
  v_known jsonb := '{}';
  v_taken text[] := '{}';
  v_column record;
  v_name text;
begin
  for v_layout in
    select y.id, y.relation, y.renamed, n.numbers
    from audit.layout as y
    cross join lateral (
      select coalesce(jsonb_object_agg(c.name, c.number), '{}') as numbers
      from (
        select c ->> 'name' as name, (c ->> 'number')::integer as number
        from jsonb_array_elements(y.columns) as c
        union all
        select s.name, s.number from unnest(y.secret, y.secret_numbers) as s (name, number)
        where s.number is not null
      ) as c
    ) as n
    where y.tracked_id = follow_layouts.tracked_id
    order by y.id desc
  loop
    if v_later is not null and v_layout.relation is distinct from v_relation then
      select coalesce(jsonb_object_agg(e.value #>> '{}', v_known -> (v_later ->> e.key)), '{}')
        into v_known
        from jsonb_each(v_layout.numbers) as e
        where v_later ? e.key;
    end if;
    for v_column in
      select e.key as name, e.value as number from jsonb_each_text(v_layout.numbers) as e
      where not v_known ? e.value
      order by e.value::integer
    loop
      v_name := v_column.name;
      while v_name = any (v_taken) loop
        v_name := v_name || '#' || v_column.number;
      end loop;
      v_taken := v_taken || v_name;
      v_known := v_known || jsonb_build_object(v_column.number, v_name);
    end loop;
    update audit.layout as y
      set renamed = r.renamed
      from (
        select jsonb_object_agg(e.key, v_known -> e.value) as renamed
        from jsonb_each_text(v_layout.numbers) as e
        where v_known ->> e.value <> e.key
      ) as r
      where y.id = v_layout.id and y.renamed is distinct from r.renamed;
    v_relation := v_layout.relation;
    v_later := v_layout.numbers;
  end loop;
end;
$$;

revoke all on function audit.follow_layouts(integer) from public;

comment on function audit.follow_layouts(integer) is
  'Says in all layouts of a declaration which columns have another name in the newest one.';
