-- The compiled function that runs before the one for DELETE and fetches what that looks up.
create or replace function audit.departed_function(
  t audit.tracked, is_row_level boolean, settings text[]
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.compile_function(t, 'cascade', array['v_departed jsonb'], b.body, true, settings,
    'stable')
  from (select audit.departed_body(t, is_row_level) as body) as b
  where b.body is not null
$$;

revoke all on function audit.departed_function(audit.tracked, boolean, text[]) from public;

comment on function audit.departed_function(audit.tracked, boolean, text[]) is
  'DDL of the compiled function that fetches what deleted rows look up; or null.';
