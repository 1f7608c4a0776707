-- The page of a license: what was done to it, its users, fields, features and devices.
create or replace view licensing.license_log with (security_invoker = true) as
select
  e.item_id as license_id,
  e.*
from audit.events as e
where e.item_type = 'license'
  and e.action <> e.item_type || '_baseline'
union all
select
  e.parent_id as license_id,
  e.*
from audit.events as e
where e.parent_type = 'license'
  and e.action <> e.item_type || '_baseline';

comment on view licensing.license_log is
  'One row for each event of a license and of the items that belong to it.';
select audit.copy_comments('audit.events', 'licensing.license_log');
comment on column licensing.license_log.license_id is 'Id of the license, as text.';
