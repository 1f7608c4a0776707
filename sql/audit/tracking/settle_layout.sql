-- Before a table is compiled: its layout is there, with the type and the function that go with it.
create or replace function audit.settle_layout(t audit.tracked)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_layout integer := audit.layout_of(t);
begin
  if v_layout is not null then
    return v_layout;
  end if;
  lock table audit.layout in share row exclusive mode;
  insert into audit.layout (id, tracked_id, table_name, columns, names, secret, secret_numbers,
    numbers, relation)
  select coalesce(max(y.id), 0) + 1, t.id, audit.name_of(t.target), c.columns,
      array(select e.c ->> 'name' from jsonb_array_elements(c.columns) with ordinality as e (c, n)
            order by e.n),
      audit.secret_columns(t), audit.secret_numbers(t), audit.column_numbers(t.target), t.target
    from (select audit.layout_columns(t) as columns) as c
    left join audit.layout as y on true
    group by c.columns
    returning id into v_layout;
  perform audit.derive_layouts();
  perform audit.follow_layouts(t.id);
  return v_layout;
end;
$$;

revoke all on function audit.settle_layout(audit.tracked) from public;

comment on function audit.settle_layout(audit.tracked) is
  'The number of the layout that a tracked table writes now, made where it has none yet.';
