-- The columns whose change is an action, with the SQL that compares and shows them.
create or replace function audit.audited_column(t audit.tracked)
  returns table (
    number smallint,
    name text,
    ident text,
    is_key boolean,
    differs text,
    old_entry text,
    new_entry text,
    both_entry text
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    c.number, c.name, c.ident, c.is_key,
    case when c.is_plain then format('old.%1$s is distinct from new.%1$s', c.ident)
      -- Equal is not the same: 1.1 and 1.10, '1 day' and '24 hours'. Their images differ.
      else format('record_image_ne(row(old.%1$s), row(new.%1$s))', c.ident) end,
    case when c.name = any (t.secret) then 'jsonb ''{"redacted": true}'''
      else format('jsonb_build_object(''old'', %s)',
        audit.json_value(c.type, 'old.' || c.ident)) end,
    case when c.name = any (t.secret) then 'jsonb ''{"redacted": true}'''
      else format('jsonb_build_object(''new'', %s)',
        audit.json_value(c.type, 'new.' || c.ident)) end,
    case when c.name = any (t.secret) then 'jsonb ''{"redacted": true}'''
      else format('jsonb_build_object(''old'', %s, ''new'', %s)',
        audit.json_value(c.type, 'old.' || c.ident),
        audit.json_value(c.type, 'new.' || c.ident)) end
  from audit.column_of(t.target) as c
  where c.name <> all (t.operational)
  order by c.number
$$;

revoke all on function audit.audited_column(audit.tracked) from public;

comment on function audit.audited_column(audit.tracked) is
  'The audited columns of a declaration, with SQL to compare them and to show their values.';
