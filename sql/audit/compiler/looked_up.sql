-- Where one lookup of a declaration leads: by the foreign key of its column, or while there is none
-- by the one that there was, for as long as the table is there. Migrations drop keys to make them
-- again.
create or replace function audit.looked_up(
  t audit.tracked, alias text, relation regclass, column_name text
)
  returns table (target regclass, key_column text, key_type oid, key_operator text)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select k.* from audit.foreign_key_of(relation, column_name) as k;
  if not found then
    return query
      select a.attrelid::regclass, a.attname::text, s.atttypid, c ->> 'operator'
      from jsonb_array_elements(t.columns) as c
      join pg_attribute as a
        on a.attrelid = t.tables[(c ->> 'table')::int] and a.attnum > 0 and not a.attisdropped
        and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
          else a.attname = c ->> 'name' end
      join pg_attribute as s on s.attrelid = looked_up.relation
        and s.attname = looked_up.column_name and s.attnum = (c ->> 'source')::int
      where c ->> 'alias' = looked_up.alias and c ->> 'operator' is not null;
  end if;
end;
$$;

revoke all on function audit.looked_up(audit.tracked, text, regclass, text) from public;

comment on function audit.looked_up(audit.tracked, text, regclass, text) is
  'The table and key that a lookup leads to.';
