-- All audited columns of a row that came or went, as the value of changes.
create or replace function audit.row_changes(t audit.tracked, side text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  -- A function takes a hundred arguments; wider tables are put together from several calls.
  select coalesce(string_agg(part, E'\n    || ' order by n), 'jsonb ''{}''')
  from (
    select
      (c.n - 1) / 45 as n,
      E'jsonb_build_object(\n      ' || string_agg(format('%L, %s', c.name, c.entry),
        E',\n      ' order by c.n) || ')' as part
    from (
      select
        row_number() over (order by a.number) as n,
        a.name,
        case side when 'new' then a.new_entry else a.old_entry end as entry
      from audit.audited_column(t) as a
    ) as c
    group by 1
  ) as p
$$;

revoke all on function audit.row_changes(audit.tracked, text) from public;

comment on function audit.row_changes(audit.tracked, text) is
  'SQL for the changes of a created (new) or deleted (old) row.';
