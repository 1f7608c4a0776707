-- Before a table is compiled: its layout is there, with the type and the function that go with it.
create or replace function audit.settle_layout(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if audit.layout_of(t) is null then
    lock table audit.layout in share row exclusive mode;
    insert into audit.layout (id, tracked_id, table_name, columns, secret)
    select
      coalesce((select max(y.id) from audit.layout as y), 0) + 1,
      t.id, audit.name_of(t.target), audit.layout_columns(t),
      array(select c.name from audit.columns_of(t.target) as c
            where c.name = any (t.secret) order by c.number)
    on conflict do nothing;
    perform audit.derive_layouts();
  end if;
end;
$$;

revoke all on function audit.settle_layout(audit.tracked) from public;

comment on function audit.settle_layout(audit.tracked) is
  'Makes the layout that a tracked table writes now, where it has none yet.';
