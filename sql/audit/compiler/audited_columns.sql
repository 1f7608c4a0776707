-- The columns whose change is an action, with the SQL that compares and shows them.
create or replace function audit.audited_columns(t audit.tracked, old_side text default 'old')
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
    with side as materialized (
      select audit.row_names(t, old_side) as old_names, audit.row_names(t, 'new') as new_names
    )
    select
      c.number, c.name, c.ident, c.is_key,
      audit.difference(c.declared_type, c.is_plain and old_side = 'old',
        case old_side when 'old' then 'old.' || c.field else v.old_value end,
        case old_side when 'old' then 'new.' || c.field else v.new_value end),
      -- Functions that show whole rows run in UTC: audit.settings_for.
      case when c.name = any (t.secret) then '(select true as redacted)'
        else format('(select %s as old)', audit.json_value(c.type, v.old_value, true)) end,
      case when c.name = any (t.secret) then '(select true as redacted)'
        else format('(select %s as new)', audit.json_value(c.type, v.new_value, true)) end,
      case when c.name = any (t.secret) then 'jsonb ''{"redacted": true}'''
        -- What becomes a JSON string anyway needs no look at its type.
        else format(case when c.type in ('text'::regtype, 'varchar'::regtype,
            'timestamptz'::regtype, 'bytea'::regtype, 'json'::regtype)
            then 'jsonb_object(array[''old'', %s, ''new'', %s]::text[])'
            else 'jsonb_build_object(''old'', %s, ''new'', %s)' end,
          audit.json_value(c.type, v.old_value), audit.json_value(c.type, v.new_value)) end
    from audit.columns_of(t.target) as c
    cross join side as s
    cross join lateral (
      select s.old_names ->> c.name as old_value, s.new_names ->> c.name as new_value
    ) as v
    where c.name <> all (t.operational)
    order by c.number;
end;
$$;

revoke all on function audit.audited_columns(audit.tracked, text) from public;

comment on function audit.audited_columns(audit.tracked, text) is
  'The audited columns of a declaration, with SQL to compare them and to show their values.';
