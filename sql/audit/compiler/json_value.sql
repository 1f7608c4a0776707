-- How a value of a type gets into the log: exact, and the same whatever the writer's settings.
create or replace function audit.json_value(type oid, expression text, is_utc boolean default false)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when type = 'timestamptz'::regtype and not is_utc then format('audit.utc(%s)', expression)
    when type = 'bytea'::regtype then format('(chr(92) || ''x'' || encode(%s, ''hex''))', expression)
    -- jsonb has no negative zero.
    when type in ('float4'::regtype, 'float8'::regtype) then format(
      'case when %1$s::text = ''-0'' then to_jsonb(''-0''::text) else to_jsonb(%1$s) end',
      expression)
    -- json may hold what jsonb refuses (U+0000, duplicate keys): it is kept as the text it is.
    when type = 'json'::regtype then expression || '::text'
    -- JSON counts from one place and knows no negative zero: such an array is kept as its text.
    when audit.element_of(type) <> type then format(
      case when audit.element_of(type) in ('float4'::regtype, 'float8'::regtype)
        then 'case when %1$s::text ~ ''^[[]|[{,]-0[,}]'' then to_jsonb(%1$s::text) else to_jsonb(%1$s) end'
        else 'case when starts_with(%1$s::text, ''['') then to_jsonb(%1$s::text) else to_jsonb(%1$s) end'
        end,
      case when type = 'json[]'::regtype
        then format('(case when num_nulls(%1$s) = 0 then concat(%1$s)::text[] end)', expression)
        else expression end)
    else expression
  end
$$;

revoke all on function audit.json_value(oid, text, boolean) from public;

comment on function audit.json_value(oid, text, boolean) is
  'SQL that turns a column into the value that the log keeps; shorter where the time zone is UTC.';
