-- What an item is known by comes from these columns: where none of them changed, it is the same item,
-- of the same account, under the same parent.
create or replace function audit.identity_columns(t audit.tracked)
  returns setof text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive name (text) as (
    select case when starts_with(n, 'new.') then substr(n, 5) else n end
    from unnest(array[t.item_id, t.account, t.accounts, t.parent_id]) as e
    cross join lateral audit.names_in(e) as n
    union
    -- A looked-up column changes with the one that leads to it.
    select l.value
    from name as n
    join jsonb_each_text(t.lookups) as l on l.key = split_part(n.text, '.', 1)
  )
  select c.name
  from audit.columns_of(t.target) as c
  where c.name in (select n.text from name as n) or t.item_id is null and c.is_key
$$;

revoke all on function audit.identity_columns(audit.tracked) from public;

comment on function audit.identity_columns(audit.tracked) is
  'The columns that say which item a row is, of which account and under which parent.';
