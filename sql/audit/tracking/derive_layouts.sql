-- The types of records and the functions that read them, made from audit.layout where they are
-- missing: for new layouts, the first of which is given, and after a restore of data alone.
create or replace function audit.derive_layouts(first integer default 0)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set check_function_bodies = on
as $$
declare
  v_layout audit.layout;
  v_name text;
begin
  for v_layout in select * from audit.layout as y where y.id >= first order by y.id loop
    v_name := format('layout_%s', v_layout.id);
    if to_regtype(format('audit.%I', v_name)) is null then
      execute format('create type audit.%I as (%s)', v_name, (
        select coalesce(string_agg(format('%I %s', c ->> 'name', c ->> 'kept_as'), ', ' order by n), '')
        from jsonb_array_elements(v_layout.columns) with ordinality as e (c, n)));
      execute format('revoke all on type audit.%I from public', v_name);
      execute format('comment on type audit.%I is %L', v_name,
        format('The audited columns of %s, as the log keeps a whole row.', v_layout.table_name));
    end if;
    if to_regproc(format('audit.%I', v_name || '_text')) is null
      or to_regproc(format('audit.%I', v_name || '_values')) is null
    then
      execute audit.layout_reader(v_layout);
      execute audit.layout_printer(v_layout);
    end if;
  end loop;
  -- A look at each of their branches takes longer than all the rest.
  perform set_config('check_function_bodies', 'off', true);
  execute audit.layout_dispatcher('values');
  execute audit.layout_dispatcher('text');
end;
$$;

revoke all on function audit.derive_layouts(integer) from public;

comment on function audit.derive_layouts(integer) is
  'Makes the types and functions of audit.layout where they are missing.';
