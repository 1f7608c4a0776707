-- A value as the text that it is written as and read from. The cast to text leaves out the blanks at
-- the end of a char(n).
create or replace function audit.exact_text(type oid, expression text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when type = 'bpchar'::regtype
      then format('(case when num_nulls(%1$s) = 0 then concat(%1$s) end)', expression)
    else expression || '::text' end
$$;

revoke all on function audit.exact_text(oid, text) from public;

comment on function audit.exact_text(oid, text) is
  'SQL for the text of a value, with all that the value has.';
