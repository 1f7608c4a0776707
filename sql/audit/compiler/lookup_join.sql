-- The joins of a compiled statement that fetch looked-up rows. Lateral with a limit, so that every
-- plan is one index probe for each row: a plan made for one row then serves a hundred thousand.
create or replace function audit.lookup_join(t audit.tracked, names jsonb, with_departed boolean)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(format(
E'\n  left join lateral (\n    %s\n  ) as %I on true',
    format(case when with_departed
        then E'(select %1$s from %2$s as p where p.%3$I %4$s %5$s limit 1)'
          '\n    union all'
          '\n    select %6$s from jsonb_to_record(_audit.v_departed -> (%7$L || %8$s)) as p(%9$s)'
          '\n    where _audit.v_departed ? (%7$L || %8$s)'
          '\n    limit 1'
        else 'select %1$s from %2$s as p where p.%3$I %4$s %5$s limit 1' end,
      f.list, format('%I.%I', f.nspname, f.relname), f.key_column, f.key_operator, f.source_value,
      f.list, f.alias || ':', audit.text_value(f.key_type, f.source_value), f.typed_list),
    f.alias), '' order by f.depth, f.alias), '')
  from (
    select l.*, n.nspname, c.relname,
      case when l.source is null then names ->> l.source_column
        else format('%I.%I', l.source, l.source_column) end as source_value,
      (select coalesce(string_agg(distinct format('p.%I', x), ', '),
                       format('p.%I', l.key_column)) from unnest(l.columns) as x) as list,
      (select coalesce(string_agg(distinct format('%I %s', x.name, x.type), ', '),
                       format('%I %s', l.key_column, format_type(l.key_type, null)))
       -- The base type: a domain's check is code of the user.
       from (select c.name, format_type(c.type, null) as type
             from audit.columns_of(l.target) as c
             where c.name = any (l.columns)) as x) as typed_list
    from audit.lookups_of(t) as l
    join pg_class as c on c.oid = l.target
    join pg_namespace as n on n.oid = c.relnamespace
  ) as f
$$;

revoke all on function audit.lookup_join(audit.tracked, jsonb, boolean) from public;

comment on function audit.lookup_join(audit.tracked, jsonb, boolean) is
  'SQL that joins the rows which the expressions of a declaration look up.';
