-- The statement at the end of every compiled function: rows of the table in, rows of the log out.
create or replace function audit.insert_log(
  t audit.tracked, row_sql audit.row_sql, action text, changes text, is_cascade text, source text,
  condition text, record text default null, is_deleted boolean default false,
  moved text default null
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(
E'  insert into audit.log (
    account_id, action, item_type, item_id, item_label, parent_type, parent_id,
    actor_type, actor_id, actor_label, on_behalf_of_type, on_behalf_of_id, on_behalf_of_label,
    db_role, application, is_cascade, is_deleted, layout, row_values, changes, context%s
  )
  select
    %s,
    %s,
    %L,
    %s,
    %s,
    %s,
    %s,
    _audit.v_actor_type, _audit.v_actor_id, _audit.v_actor_label,
    _audit.v_on_behalf_of_type, _audit.v_on_behalf_of_id, _audit.v_on_behalf_of_label,
    session_user,
    current_setting(''application_name''),
    %s,
    %s,
    %s,
    %s,
    %s,
    _audit.v_context%s%s%s;
%s%s',
    case when moved is not null then ', moved' else '' end,
    row_sql.account, action, t.item_type, row_sql.item_id, row_sql.item_label,
    row_sql.parent_type, row_sql.parent_id, is_cascade,
    is_deleted::text, coalesce(t.layout::text, 'null'), coalesce(record, 'null'), changes,
    coalesce(E',\n    ' || moved, ''),
    case when source <> '' then E'\n  from ' || source || row_sql.joins
      when row_sql.joins <> '' then E'\n  from (select) as here' || row_sql.joins
      else '' end,
    case when condition <> '' then E'\n  where ' || condition else '' end,
    -- Somebody's code, called by one of these functions, may leave a search path behind that the next
    -- statement would be parsed under. FOUND stays what it was.
    case when t.account_reader = 'audit_lookup'
      or exists (select from audit.lookups_of(t) as l where l.reader = 'audit_lookup')
      or exists (select from audit.cascades_of(t) as c where c.reader = 'audit_lookup')
      then E'  if pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true) is null then
    return null;
  end if;\n' else '' end,
    case when t.require_actor then
E'  if _audit.v_actor_type = ''database'' and found then
    perform audit.demand_actor(''' || replace(t.target::text, '''', '''''') || E''');
  end if;\n' else '' end)
$$;

revoke all on function
  audit.insert_log(
    audit.tracked, audit.row_sql, text, text, text, text, text, text, boolean, text) from public;

comment on function
  audit.insert_log(
    audit.tracked, audit.row_sql, text, text, text, text, text, text, boolean, text) is
  'SQL that writes the rows of the log for one action.';
