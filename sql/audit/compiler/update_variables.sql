-- The variables of a compiled function for UPDATE: the changes of each action.
create or replace function audit.update_variables(t audit.tracked)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.actor_variables() || array[
    'v_account_id text', 'v_item_id text', 'v_item_label text',
    'v_was text[]', 'v_is text[]', 'v_moved jsonb'] || array(
    select quote_ident('v_' || audit.short_name(r.action) || '_changes') || ' jsonb'
    from audit.rules_of(t, 'update') as r
    group by r.action
    order by min(r.number))
$$;

revoke all on function audit.update_variables(audit.tracked) from public;

comment on function audit.update_variables(audit.tracked) is
  'Declarations of the variables that a compiled function for UPDATE collects changes in.';
