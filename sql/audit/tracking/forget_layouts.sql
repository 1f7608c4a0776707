-- When an import is undone: the layouts that came with it. Those of a declaration of this database
-- stay, for its tables may write in them by now.
create or replace function audit.forget_layouts(numbers jsonb)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_layout audit.layout;
  v_declarations integer[] := '{}';
begin
  if forget_layouts.numbers = '[]' then
    return;
  end if;
  lock table audit.layout in share row exclusive mode;
  for v_layout in
    delete from audit.layout as y
    where y.tracked_id < 0
      and y.id in (select n::integer from jsonb_array_elements_text(forget_layouts.numbers) as n)
    returning y.*
  loop
    execute format('drop function if exists audit.%I(text), audit.%I(text, boolean)',
      format('layout_%s_values', v_layout.id), format('layout_%s_text', v_layout.id));
    execute format('drop type if exists audit.%I', format('layout_%s', v_layout.id));
    v_declarations := v_declarations || v_layout.tracked_id;
  end loop;
  if v_declarations <> '{}' then
    perform audit.derive_layouts();
    perform audit.follow_layouts(d.id) from (select distinct unnest(v_declarations) as id) as d;
  end if;
end;
$$;

revoke all on function audit.forget_layouts(jsonb) from public;

comment on function audit.forget_layouts(jsonb) is
  'Removes layouts that came with an import, with their types and functions.';
