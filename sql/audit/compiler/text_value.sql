-- Ids and labels are text; those of common types need no detour through jsonb.
create or replace function audit.text_value(type oid, expression text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when type in ('text'::regtype, 'varchar'::regtype, 'int2'::regtype, 'int4'::regtype,
      'int8'::regtype, 'uuid'::regtype, 'bool'::regtype, 'numeric'::regtype, 'name'::regtype,
      'oid'::regtype) then expression || '::text'
    -- As in the column, so as an application knows it.
    when type = 'bpchar'::regtype then audit.exact_text(type, expression)
    when type in ('timestamptz'::regtype, 'bytea'::regtype, 'json'::regtype)
      then audit.json_value(type, expression)
    else format('(to_jsonb(%s) #>> ''{}'')', audit.json_value(type, expression))
  end
$$;

revoke all on function audit.text_value(oid, text) from public;

comment on function audit.text_value(oid, text) is
  'SQL that turns a column into the text that names it in the log.';
