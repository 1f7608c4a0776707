-- The key of a row of a table, from a row of the log and the values in it.
create or replace function audit.undo_keyed(
  keys jsonb, vals jsonb, item_id text, parent_id text, account_id text, part text
)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select array(
    select coalesce(
      vals ->> (k.item ->> 'number'),
      audit.undo_text(to_jsonb(case k.item ->> 'source'
        when 'item' then undo_keyed.item_id
        when 'parent' then undo_keyed.parent_id
        when 'account' then nullif(undo_keyed.account_id, '')
        when 'part' then replace(replace(undo_keyed.part, '~1', '/'), '~0', '~')
        when 'item_id' then case when jsonb_array_length(keys) = 1 then undo_keyed.item_id
          else replace(replace(split_part(undo_keyed.item_id, '/', k.n::int), '~1', '/'),
            '~0', '~') end
        end), k.item ->> 'kept_as'))
    from jsonb_array_elements(keys) with ordinality as k (item, n)
    order by k.n)
$$;

revoke all on function audit.undo_keyed(jsonb, jsonb, text, text, text, text) from public;

comment on function audit.undo_keyed(jsonb, jsonb, text, text, text, text) is
  'The primary key of the row that a row of the log is about; null where it does not tell a '
  'column.';
