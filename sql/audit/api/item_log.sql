-- The page of one item: what was done to it and to its parts, newest first.
create or replace function audit.item_log(
  item_type text,
  item_id text,
  account_id text default null,
  baseline boolean default false
)
  returns setof audit.events
  language sql
  stable
as $$
  select e.*
  from audit.events as e
  where (
      (e.item_type = item_log.item_type and e.item_id = item_log.item_id)
      or (e.parent_type = item_log.item_type and e.parent_id = item_log.item_id)
    )
    and (item_log.account_id is null or e.account_id = item_log.account_id)
    and (item_log.baseline or e.action <> e.item_type || '_baseline')
  order by e.occurred_at desc, e.id desc, e.tx desc
$$;

revoke all on function audit.item_log(text, text, text, boolean) from public;

comment on function audit.item_log(text, text, text, boolean) is
  'Public. The events of one item and of its parts, newest first; with its account it is found by '
  'index.';
