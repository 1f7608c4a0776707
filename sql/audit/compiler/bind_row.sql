-- What a declaration says of an item, as SQL over the new row, the old one, or both merged.
create or replace function audit.bind_row(t audit.tracked, side text, with_departed boolean)
  returns audit.row_sql
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_row audit.row_sql;
begin
  v_row.names := audit.row_names(t, side);
  select
      case when count(*) = 1 then min(k.value)
        else string_agg(format('replace(replace(%s, ''~'', ''~0''), ''/'', ''~1'')', k.value),
          ' || ''/'' || ' order by k.number) end,
      string_agg(k.value, ' || '','' || ' order by k.number)
    into v_row.item_id, v_row.key_text
    from (
      select c.number, audit.text_value(c.type, v_row.names ->> c.name) as value
      from audit.columns_of(t.target) as c
      where c.is_key
    ) as k;

  if t.item_id is not null then
    v_row.item_id := audit.bind_text(t, t.item_id, v_row.names);
    if side = 'merged' or not exists (
      select from pg_attribute as a
      where a.attrelid = t.target and a.attname = audit.fold_name(t.item_id) and a.attnotnull)
    then
      v_row.item_id := format('coalesce(%s, audit.refuse_null(%L, %L))', v_row.item_id,
        t.target::text, t.item_id);
    end if;
  end if;
  v_row.item_label := audit.bind_text(t, t.item_label, v_row.names);
  v_row.account := case
    when t.accounts is not null then 'coalesce(_audit_account.id::text, '''')'
    when t.account is null then ''''''
    when exists (select from pg_attribute as a
                 where a.attrelid = t.target and a.attname = audit.fold_name(t.account)
                   and a.attnotnull) and side <> 'merged'
      then audit.bind_text(t, t.account, v_row.names)
    else format('coalesce(%s, '''')', audit.bind_text(t, t.account, v_row.names)) end;
  v_row.parent_type := coalesce(quote_literal(t.parent_type), 'null');
  v_row.parent_id := audit.bind_text(t, t.parent_id, v_row.names);
  -- A name is one segment of a path: ~ and / are written as in a JSON pointer (RFC 6901).
  v_row.part_name := format('replace(replace(coalesce(%s, %s), ''~'', ''~0''), ''/'', ''~1'')',
    audit.bind_text(t, t.part_name, v_row.names), v_row.key_text);
  v_row.joins := audit.lookup_join(t, v_row.names, with_departed)
    || case when t.accounts is not null
      then format(E'\n  left join lateral %s as _audit_account (id) on true',
        audit.account_query(t, v_row.names)) else '' end;
  return v_row;
end;
$$;

revoke all on function audit.bind_row(audit.tracked, text, boolean) from public;

comment on function audit.bind_row(audit.tracked, text, boolean) is
  'SQL for the item, label, account, parent and part of a row, and the joins they need.';
