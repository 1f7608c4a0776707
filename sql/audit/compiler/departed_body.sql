-- Before deleted rows are logged, what they look up is fetched from where it still is, also when
-- the same statement deleted that too (a cascade, a CTE): a trigger function declared stable does
-- not see the changes of the statement that fired it. A further hop starts from what the first
-- fetched.
create or replace function audit.departed_body(t audit.tracked, is_row_level boolean)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select audit.row_names(t, 'old') as names)
  select string_agg(format(
E'  select coalesce(_audit.v_departed, ''{}'') || coalesce(jsonb_object_agg(%1$L || f.k, f.v), ''{}'')
    into v_departed
    from (
      select %2$s as k, (select to_jsonb(_audit_q.*) from (%3$s) as _audit_q) as v%4$s
    ) as f
    where f.k is not null and f.v is not null;\n',
    l.alias || ':',
    audit.text_value(audit.presented_type(l.key_type), s.value),
    audit.lookup_query(l.target, c.list, l.key_column, l.key_operator, s.value, l.key_type),
    case
      when l.source is not null then format(
        E'\n      from jsonb_each(_audit.v_departed) as _audit_s'
        '\n      cross join lateral jsonb_to_record(_audit_s.value) as _audit_hop (%s %s)'
        '\n      where starts_with(_audit_s.key, %L)',
        audit.quoted(l.source_column), audit.builtin_name(audit.presented_type(l.key_type)),
        l.source || ':')
      when is_row_level then ''
      else format(E'\n      from (select distinct %s as _audit_k from old_rows as old) as _audit_old',
        n.names ->> l.source_column)
    end),
    '' order by l.depth, l.alias)
    || E'  perform set_config(''audit.departed'', coalesce(v_departed::text, ''''), true);\n'
  from audit.lookups_of(t) as l
  cross join known as n
  cross join lateral audit.lookup_columns(l.target, l.columns, l.key_column) as c
  cross join lateral (
    select case when l.source is not null then '_audit_hop.' || audit.quoted(l.source_column)
      when is_row_level then n.names ->> l.source_column
      else '_audit_old._audit_k' end as value) as s
  where exists (select from audit.rules_of(t, 'delete'))
$$;

revoke all on function audit.departed_body(audit.tracked, boolean) from public;

comment on function audit.departed_body(audit.tracked, boolean) is
  'Body of the compiled function that fetches what deleted rows look up; or null.';
