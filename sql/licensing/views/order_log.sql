-- The page of an order: what was done to it and to its managers.
create or replace view licensing.order_log with (security_invoker = true) as
select
  e.item_id as order_id,
  e.*
from audit.events as e
where e.item_type = 'order'
  and e.action <> e.item_type || '_baseline'
union all
select
  e.parent_id as order_id,
  e.*
from audit.events as e
where e.parent_type = 'order'
  and e.action <> e.item_type || '_baseline';

comment on view licensing.order_log is
  'One row for each event of an order and of the items that belong to it.';
select audit.copy_comments('audit.events', 'licensing.order_log');
comment on column licensing.order_log.order_id is 'Id of the order, as text.';
