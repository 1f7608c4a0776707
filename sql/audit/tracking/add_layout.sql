-- A layout with the next number. Types and functions are made of it afterwards, by
-- audit.derive_layouts(); its table is locked already.
create or replace function audit.add_layout(y audit.layout)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  select coalesce(max(n.id), 0) + 1 into y.id from audit.layout as n;
  -- A dump of the schema alone brings types of layouts, and no layouts.
  while to_regtype(format('audit.layout_%s', y.id)) is not null loop
    y.id := y.id + 1;
  end loop;
  y.names := array(
    select e.c ->> 'name' from jsonb_array_elements(y.columns) with ordinality as e (c, n)
    order by e.n);
  y.renamed := null;
  y.made_at := coalesce(y.made_at, clock_timestamp());
  insert into audit.layout select y.*;
  return y.id;
end;
$$;

revoke all on function audit.add_layout(audit.layout) from public;

comment on function audit.add_layout(audit.layout) is
  'Adds a layout, whatever number it came with, and says the number that it has now.';
