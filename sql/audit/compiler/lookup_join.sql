-- The joins of a compiled statement that fetch looked-up rows. Lateral with a limit, so that every
-- plan is one index probe for each row: a plan made for one row then serves a hundred thousand.
create or replace function audit.lookup_join(t audit.tracked, names jsonb, with_departed boolean)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(format(
E'\n  left join lateral (\n    %s\n  ) as %I (%s) on true',
    format(case when with_departed
        then E'(%1$s)'
          '\n    union all'
          '\n    select %2$s from jsonb_to_record(_audit.v_departed -> (%3$L || %4$s)) as _audit_p (%5$s)'
          '\n    where _audit.v_departed ? (%3$L || %4$s)'
          '\n    limit 1'
        else '%1$s' end,
      f.query, f.idents, f.alias || ':', audit.text_value(f.presented_type, f.value), f.typed),
    f.alias, f.idents), '' order by f.depth, f.alias), '')
  from (
    select l.depth, l.alias, s.value, c.idents, c.typed,
      audit.presented_type(l.key_type) as presented_type,
      case when l.reader = 'inline'
        then audit.lookup_query(l.target, c.list, l.key_column, l.key_operator, s.value, l.key_type)
        else format('select * from audit.%I(%s)', audit.lookup_name(t, l.alias), s.value) end as query
    from audit.lookups_of(t) as l
    cross join lateral audit.lookup_columns(l.target, l.columns, l.key_column) as c
    cross join lateral (
      select case when l.source is null then names ->> l.source_column
        else format('%I.%s', l.source, audit.quoted(l.source_column)) end as value
    ) as s
  ) as f
$$;

revoke all on function audit.lookup_join(audit.tracked, jsonb, boolean) from public;

comment on function audit.lookup_join(audit.tracked, jsonb, boolean) is
  'Joins that fetch the looked-up rows of a compiled statement.';
