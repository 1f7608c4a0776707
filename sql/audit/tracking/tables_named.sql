-- A plain name stands in a text as a word, and is found by it, however many tables are tracked. Words
-- are taken from the whole text, strings too, for what is executed there; an escape may stand
-- before one. Other names are looked for as they are; in a long text all are, which takes less than its
-- words do.
create or replace function audit.tables_named(query text)
  returns setof regclass
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  if length(query) > 10000 then
    return query
      select k.target
      from audit.tracked as k
      join pg_class as c on c.oid = k.target
      where strpos(lower(query), lower(c.relname)) > 0;
    return;
  end if;
  return query
    select k.target
    from (
      select distinct w::name as name
      from regexp_split_to_table(lower(query)
        || case when strpos(query, E'\\') = 0 then ''
          else ' ' || regexp_replace(lower(query), '\\.', ' ', 'g') end, '[^a-z0-9_]+') as w
    ) as n
    join pg_class as c on c.relname = n.name
    join audit.tracked as k on k.target = c.oid
    union
    select k.target
    from audit.tracked as k
    join pg_class as c on c.oid = k.target
    where right(k.table_name, 1) = '"' and strpos(lower(query), lower(c.relname)) > 0;
end;
$$;

revoke all on function audit.tables_named(text) from public;

comment on function audit.tables_named(text) is 'The tracked tables that an SQL text names.';
