-- The columns whose change is an action, with the SQL that compares and shows them.
create or replace function audit.audited_columns(t audit.tracked)
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
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select
      c.number, c.name, c.ident, c.is_key,
      case when c.is_plain then format('old.%1$s is distinct from new.%1$s', c.ident)
        -- Equal is not the same: 1.1 and 1.10, '1 day' and '24 hours'. Their images differ.
        else format('record_image_ne(row(old.%1$s), row(new.%1$s))', c.ident) end,
      -- Functions that show whole rows run in UTC: audit.settings_for.
      case when c.name = any (t.secret) then '(select true as redacted)'
        else format('(select %s as old)', audit.json_value(c.type, 'old.' || c.ident, true)) end,
      case when c.name = any (t.secret) then '(select true as redacted)'
        else format('(select %s as new)', audit.json_value(c.type, 'new.' || c.ident, true)) end,
      case when c.name = any (t.secret) then 'jsonb ''{"redacted": true}'''
        -- What becomes a JSON string anyway needs no look at its type.
        else format(case when c.type in ('text'::regtype, 'varchar'::regtype,
            'timestamptz'::regtype, 'bytea'::regtype, 'json'::regtype)
            then 'jsonb_object(array[''old'', %s, ''new'', %s]::text[])'
            else 'jsonb_build_object(''old'', %s, ''new'', %s)' end,
          audit.json_value(c.type, 'old.' || c.ident) || s.cast,
          audit.json_value(c.type, 'new.' || c.ident) || s.cast) end
    from audit.columns_of(t.target) as c
    cross join lateral (
      -- In an array the names old and new must not take on a domain.
      select case when c.type in ('text'::regtype, 'varchar'::regtype)
        and c.type <> c.declared_type then '::text' else '' end as cast
    ) as s
    where c.name <> all (t.operational)
    order by c.number;
end;
$$;

revoke all on function audit.audited_columns(audit.tracked) from public;

comment on function audit.audited_columns(audit.tracked) is
  'The audited columns of a declaration, with SQL to compare them and to show their values.';
