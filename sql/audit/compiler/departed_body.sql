-- Before deleted rows are logged, what they look up is fetched from where it still is, also when the
-- same statement deleted that too (a cascade, a CTE): a trigger function declared stable does not
-- see the changes of the statement that fired it. A further hop starts from what the first fetched.
create or replace function audit.departed_body(t audit.tracked, is_row_level boolean)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select string_agg(format(
E'  select coalesce(_audit.v_departed, ''{}'') || coalesce(jsonb_object_agg(%1$L || f.k, f.v), ''{}'')
    into v_departed
    from (
      select %2$s as k, (select to_jsonb(_q) from (%3$s) as _q) as v%4$s
    ) as f
    where f.k is not null and f.v is not null;\n',
    l.alias || ':',
    audit.text_value(l.key_type, s.value),
    format('select %s from %I.%I as p where p.%I %s %s limit 1',
      (select coalesce(string_agg(distinct format('p.%I', x), ', '), format('p.%I', l.key_column))
       from unnest(l.columns) as x),
      n.nspname, c.relname, l.key_column, l.key_operator, s.value),
    case
      when l.source is not null then format(
        E'\n      from jsonb_each(_audit.v_departed) as _s'
        '\n      cross join lateral jsonb_to_record(_s.value) as _p(%s %s)'
        '\n      where starts_with(_s.key, %L)',
        k.ident, format_type(k.type, null), l.source || ':')
      when is_row_level then ''
      else format(E'\n      from (select distinct d.%1$s from old_rows as d) as old', k.ident)
    end),
    '' order by l.depth, l.alias)
    || E'  perform set_config(''audit.departed'', coalesce(v_departed::text, ''''), true);\n'
  from audit.lookups_of(t) as l
  join pg_class as c on c.oid = l.target
  join pg_namespace as n on n.oid = c.relnamespace
  left join audit.lookups_of(t) as h on h.alias = l.source
  join audit.columns_of(coalesce(h.target, t.target)) as k on k.name = l.source_column
  cross join lateral (
    select case when l.source is null then 'old.' else '_p.' end || k.ident as value) as s
$$;

revoke all on function audit.departed_body(audit.tracked, boolean) from public;

comment on function audit.departed_body(audit.tracked, boolean) is
  'Body of the compiled function that fetches what deleted rows look up; or null.';
