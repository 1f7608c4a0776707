-- Whether what was compiled for a table is there: its functions as they were compiled, its triggers
-- on it and on its partitions. Triggers that the owner disabled stay so.
create or replace function audit.is_installed(t audit.tracked)
  returns boolean
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  return not exists (
      select from jsonb_each_text(t.compiled -> 'functions') as e
      where not audit.is_function_installed(e.key, e.value, t.compiled -> 'owners' ->> e.key))
    and not exists (
      select from jsonb_object_keys(t.compiled -> 'triggers') as g
      where not audit.has_trigger(t.target, g, true))
    and not exists (
      select from audit.triggered_relations(t.target) as r
      cross join unnest(array['_audit_truncate', '_audit_move', '_audit_moved']) as g
      where r <> t.target and audit.carries(r, t.target, g)
        and t.compiled -> 'triggers' ? g and not audit.has_trigger(r, g, true));
end;
$$;

revoke all on function audit.is_installed(audit.tracked) from public;

comment on function audit.is_installed(audit.tracked) is
  'Whether the compiled functions and triggers of a table are there as they were compiled.';
