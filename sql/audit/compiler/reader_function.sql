-- The frame of a compiled function that reads another table for a trigger function: rows seen as of
-- the statement that asks, one index probe also in a plan made when the table was empty, and an error
-- where row security would hide a row that has no policy for it.
create or replace function audit.reader_function(
  name text, parameters text[], result text, query text, is_filtered boolean
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  select format(
'create or replace function audit.%I(%s)
  returns %s
  language plpgsql
  stable
  security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off%s
as %L',
    name, array_to_string(parameters, ', '), result,
    case when is_filtered then '' else E'\n  set row_security = off' end,
    format(E'\nbegin\n  return%s\n    %s;\nend;\n',
      case when result ~ '^(table|setof)' then ' query' else '' end, query))
$$;

revoke all on function audit.reader_function(text, text[], text, text, boolean) from public;

comment on function audit.reader_function(text, text[], text, text, boolean) is
  'DDL of a compiled function that reads somebody''s table.';
