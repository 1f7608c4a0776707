-- A row trigger of a partitioned table. PostgreSQL clones it to every partition, and each clone
-- compiles and plans its function for itself: so that function does nothing but call another, which
-- a session compiles and plans once, however many partitions it writes to. The row goes there as
-- one of no named type, since PL/pgSQL compiles a function anew for each type that it is given.
create or replace function audit.add_row_trigger(
  compiled audit.compiled, t audit.tracked, event text, timing text, variables text[], body text,
  settings text[], volatility text default 'volatile'
)
  returns audit.compiled
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows constant text[] := case event when 'insert' then '{new}' when 'update' then '{old,new}'
    when 'moving' then '{old,new}' else '{old}' end;
  -- Where the old row lies.
  v_place constant text[] := case when event in ('moving', 'delete') then '{place}' else '{}' end;
  v_name constant text := t.slug || '_' || event;
begin
  if body is null then
    return compiled;
  end if;
  compiled.functions := compiled.functions || jsonb_build_object(v_name || '_row',
    audit.compile_function(t, event, variables, body, true, settings, volatility, v_rows || v_place));
  return audit.add_trigger(compiled, t, event, timing, null, format(
'create or replace function audit.%I()
  returns trigger
  language plpgsql
  %s%s
as %L', v_name, volatility, audit.function_settings(t, event, body, true, settings),
    format(
'
-- Compiled from the declaration of %s (audit.tracked): called in each partition.
declare
%s  v_done constant boolean := audit.%I(%s);
begin
  return %s;
end;
',
      translate(t.target::text, E'\n\r', '  '),
      -- Where nothing follows DDL, a column that is named here may be gone; elsewhere asking once, in
      -- the function that is called, is enough.
      case when audit.follows_ddl() then '' else audit.guard_of(t) end,
      v_name || '_row',
      (select string_agg(format('row(%s)', (
          select string_agg(r || '.' || c.ident, ', ' order by c.number)
          from audit.columns_of(t.target) as c)), ', ' order by n)
       from unnest(v_rows) with ordinality as u (r, n))
      || case when v_place = '{}' then '' else ', row(tg_relid, old.ctid)' end,
      case event when 'moving' then 'new' else 'null' end)));
end;
$$;

revoke all on function audit.add_row_trigger(
  audit.compiled, audit.tracked, text, text, text[], text, text[], text) from public;

comment on function audit.add_row_trigger(
  audit.compiled, audit.tracked, text, text, text[], text, text[], text) is
  'Adds a row trigger and its two functions to the compilation of a partitioned table.';
