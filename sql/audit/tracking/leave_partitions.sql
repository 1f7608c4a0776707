-- Rows that leave with a partition are deleted by no action. What is left on it of the triggers of the
-- whole table says which table that was.
create or replace function audit.leave_partitions(relations oid[])
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_left regclass;
  v_call text;
  v_root regclass;
begin
  for v_left, v_call in
    select c.oid::regclass, split_part(pg_get_triggerdef(g.oid), ' EXECUTE FUNCTION ', 2)
    from pg_class as c
    join pg_trigger as g on g.tgrelid = c.oid and g.tgname = '_audit_truncate'
    where c.oid = any (relations) and not c.relispartition
    order by audit.name_of(c.oid)
  loop
    continue when exists (select from audit.tracked as k where k.target = v_left);
    select k.target
      into v_root
      from audit.tracked as k
      where split_part(k.compiled -> 'triggers' ->> '_audit_truncate', ' execute function ', 2) = v_call;
    continue when not found;
    execute format('drop trigger _audit_truncate on %s', audit.name_of(v_left));
    perform audit.write_table_event('tracking_changed', audit.name_of(v_root), jsonb_build_object(
      'partitions', jsonb_build_object('old', jsonb_build_array(audit.name_of(v_left)))));
  end loop;
end;
$$;

revoke all on function audit.leave_partitions(oid[]) from public;

comment on function audit.leave_partitions(oid[]) is
  'Says in the log which of these relations were partitions of a tracked table and are no more.';
