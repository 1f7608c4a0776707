-- One row of the log for each item and statement, whatever number of its parts changed.
create or replace function audit.group_body(
  t audit.tracked, row_sql audit.row_sql, action text, changes text, is_cascade text, source text,
  condition text, is_deleted boolean default false
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.insert_log(t, jsonb_populate_record(row_sql, jsonb_build_object(
      'account', 'g.account_id', 'item_id', 'g.item_id', 'item_label', 'g.item_label',
      'parent_id', 'g.parent_id', 'joins', '')),
    'g.action', 'g.changes', 'g.is_cascade',
    format(
'(
    select d.action, d.account_id, d.item_id, d.item_label, d.parent_id,
      bool_and(d.is_cascade) as is_cascade,
      jsonb_object_agg(%L || d.name || ''/'' || c.key, c.value) as changes
    from (
      select r.action, r.account_id, r.item_id, r.item_label, r.parent_id, r.is_cascade, r.changes,
        -- Two parts of one name in one row of the log are told apart by their keys.
        case when count(*) over (partition by r.account_id, r.item_id, r.name) > 1
          then r.name || ''#'' || r.key else r.name end as name
      from (
        select
          %s as action,
          %s as account_id,
          %s as item_id,
          %s as item_label,
          %s as parent_id,
          %s as name,
          %s as key,
          %s as is_cascade,
          %s as changes
        from %s%s%s
      ) as r
      where r.changes is not null
    ) as d
    cross join lateral jsonb_each(d.changes) as c
    group by 1, 2, 3, 4, 5
  ) as g',
      coalesce(t.part, t.item_type) || '/', action, row_sql.account, row_sql.item_id,
      row_sql.item_label, row_sql.parent_id, row_sql.part_name,
      row_sql.key_text, is_cascade, changes, source, row_sql.joins,
      case when condition <> '' then E'\n        where ' || condition else '' end),
    '', null, is_deleted)
$$;

revoke all on function
  audit.group_body(audit.tracked, audit.row_sql, text, text, text, text, text, boolean) from public;

comment on function
  audit.group_body(audit.tracked, audit.row_sql, text, text, text, text, text, boolean) is
  'Body that writes one row of the log for each item that a statement touched.';
