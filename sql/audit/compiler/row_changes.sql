-- All audited columns of a row that came or went, as the value of changes. One conversion of nested
-- rows costs half of what building an object for each column does, and keys in the order that jsonb
-- keeps them in, shorter ones first, need no sorting.
create or replace function audit.row_changes(t audit.tracked, side text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with entry as materialized (
    select a.number, a.name, a.ident,
      case side when 'new' then a.new_entry else a.old_entry end as value
    from audit.audited_columns(t, case side when 'new' then 'old' else side end) as a
  ), prefix as (
    -- A name that no column has: a bare one would be taken for the column.
    select format('_e%s_', n) as text
    from generate_series(0, (select count(*) from entry)) as n
    where not exists (select from audit.columns_of(t.target) as c
                      where starts_with(c.name, format('_e%s_', n)))
    order by n
    limit 1
  )
  select case when count(*) = 0 then '(select jsonb ''{}'')' else format(
'(
      select to_jsonb(_audit_r.*)
      from (
        select
          %s
        from
          %s
      ) as _audit_r
    )',
      string_agg(format('%s%s as %s', p.text, a.number, a.ident), E',\n          '
        order by octet_length(a.name), a.name collate "C"),
      string_agg(format('%s as %s%s', a.value, p.text, a.number), E',\n          '
        order by a.number)) end
  from entry as a
  cross join prefix as p
$$;

revoke all on function audit.row_changes(audit.tracked, text) from public;

comment on function audit.row_changes(audit.tracked, text) is
  'SQL for the changes of a created (new) or deleted (old) row.';
