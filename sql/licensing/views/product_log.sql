-- The page of a product: what was done to it, its features and custom fields.
create or replace view licensing.product_log with (security_invoker = true) as
select
  e.item_id as product_id,
  e.*
from audit.events as e
where e.item_type = 'product'
  and e.action <> e.item_type || '_baseline'
union all
select
  e.parent_id as product_id,
  e.*
from audit.events as e
where e.parent_type = 'product'
  and e.action <> e.item_type || '_baseline';

comment on view licensing.product_log is
  'One row for each event of a product and of the items that belong to it.';
select audit.copy_comments('audit.events', 'licensing.product_log');
comment on column licensing.product_log.product_id is 'Id of the product, as text.';
