-- All audited columns of a row that came or went, as the value of changes. One conversion of nested
-- rows costs half of what building an object for each column does, and keys in the order that jsonb
-- keeps them in, shorter ones first, need no sorting.
create or replace function audit.row_changes(t audit.tracked, side text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(format(
'(
      select to_jsonb(_r.*)
      from (
        select
          %s
        from
          %s
      ) as _r
    )',
      string_agg(format('_e%s as %s', a.number, a.ident), E',\n          '
        order by octet_length(a.name), a.name collate "C"),
      string_agg(format('%s as _e%s', case side when 'new' then a.new_entry else a.old_entry end,
        a.number), E',\n          ' order by a.number)), '(select jsonb ''{}'')')
  from audit.audited_columns(t, case side when 'new' then 'old' else side end) as a
$$;

revoke all on function audit.row_changes(audit.tracked, text) from public;

comment on function audit.row_changes(audit.tracked, text) is
  'SQL for the changes of a created (new) or deleted (old) row.';
