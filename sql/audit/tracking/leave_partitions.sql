-- Rows that leave with a partition are deleted by no action. What is left on it of the triggers of the
-- whole table says which table that was.
create or replace function audit.leave_partitions(target regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_left regclass;
begin
  for v_left in
    select g.tgrelid::regclass
    from audit.tracked as k
    join pg_class as c on c.oid = k.target and c.relkind = 'p'
    cross join pg_trigger as g
    where k.target = leave_partitions.target
      and g.tgname = '_audit_truncate' and g.tgfoid = to_regproc('audit.log_truncate')
      and not exists (select from audit.triggered_relations(k.target) as r where r = g.tgrelid)
      and split_part(pg_get_triggerdef(g.oid), ' EXECUTE FUNCTION ', 2)
        = split_part(k.compiled -> 'triggers' ->> '_audit_truncate', ' execute function ', 2)
    order by audit.name_of(g.tgrelid)
  loop
    execute format('drop trigger _audit_truncate on %s', audit.name_of(v_left));
    perform audit.write_table_event('tracking_changed', audit.name_of(target), jsonb_build_object(
      'partitions', jsonb_build_object('old', jsonb_build_array(audit.name_of(v_left)))));
  end loop;
end;
$$;

revoke all on function audit.leave_partitions(regclass) from public;

comment on function audit.leave_partitions(regclass) is
  'Says in the log which relations were partitions of a tracked table and are no more.';
