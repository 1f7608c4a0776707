-- The compiled function for INSERT or DELETE of a table that is not partitioned.
create or replace function audit.write_function(
  t audit.tracked, event text, is_row_level boolean, settings text[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.compile_function(t, event,
    audit.actor_variables()
      || case when d.uses_departed then array[
        'v_departed constant jsonb := nullif(current_setting(''audit.departed'', true), '''')::jsonb']
        else '{}' end,
    audit.read_actor() || b.body || case when d.uses_departed
      then E'  perform set_config(''audit.departed'', '''', true);\n' else '' end,
    audit.reads_inline(t, event),
    settings)
  from (select audit.write_body(t, event, is_row_level) as body) as b
  cross join (
    select event = 'delete' and exists (
      select from audit.lookups_of(t) as l where l.source is null) as uses_departed
  ) as d
  where b.body is not null
$$;

revoke all on function audit.write_function(audit.tracked, text, boolean, text[]) from public;

comment on function audit.write_function(audit.tracked, text, boolean, text[]) is
  'DDL of the compiled function for INSERT or DELETE; null where the event has no action.';
