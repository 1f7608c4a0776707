-- The page of a customer: what was done to it.
create or replace view licensing.customer_log with (security_invoker = true) as
select
  e.item_id as customer_id,
  e.*
from audit.events as e
where e.item_type = 'customer'
  and e.action <> e.item_type || '_baseline'
union all
select
  e.parent_id as customer_id,
  e.*
from audit.events as e
where e.parent_type = 'customer'
  and e.action <> e.item_type || '_baseline';

comment on view licensing.customer_log is
  'One row for each event of a customer and of the items that belong to it.';
select audit.copy_comments('audit.events', 'licensing.customer_log');
comment on column licensing.customer_log.customer_id is 'Id of the customer, as text.';
