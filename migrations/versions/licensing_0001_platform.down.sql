-- Undoes licensing_0001: the tables go with their rows, the log keeps what it says of them.
do $$
declare
  v_actions text[];
  v_target  regclass;
begin
  select array_agg(r.rule ->> 'action') into v_actions
  from audit.tracked as t
  join pg_catalog.pg_class as c on c.oid = t.target
  cross join lateral jsonb_array_elements(t.actions) as r (rule)
  where c.relnamespace = 'licensing'::regnamespace;

  -- Through untrack, so that the log says that it ends here and who ended it.
  for v_target in
    select t.target
    from audit.tracked as t
    join pg_catalog.pg_class as c on c.oid = t.target
    where c.relnamespace = 'licensing'::regnamespace
    order by t.id
  loop
    perform audit.untrack(v_target);
  end loop;

  -- The names of its actions go, but for those that rows of the log have: all of the log counts,
  -- so fail rather than see only the rows that row security would show.
  perform set_config('row_security', 'off', true);
  v_actions := array(
    select unnest(v_actions) except select l.action from audit.log as l
    where l.action = any(v_actions));
  delete from audit.action as a
  where a.action = any(v_actions)
    and not exists (select from audit.actions as k where k.action = a.action and k.is_recorded);
end;
$$;

drop view
  licensing.customer_log,
  licensing.license_log,
  licensing.order_log,
  licensing.product_log;

-- Without cascade: what others have built on these tables is theirs to remove.
drop table
  licensing.accounts,
  licensing.customers,
  licensing.devices,
  licensing.license_custom_fields,
  licensing.license_features,
  licensing.license_user_assignments,
  licensing.license_users,
  licensing.licenses,
  licensing.memberships,
  licensing.notification_policies,
  licensing.order_managers,
  licensing.orders,
  licensing.platform_users,
  licensing.product_custom_fields,
  licensing.product_features,
  licensing.products,
  licensing.user_permission_template_permissions,
  licensing.user_permission_templates;

drop schema licensing;
