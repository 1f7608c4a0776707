-- Rows may come with a partition, and no action tells of them. Whether there are any is told by
-- its size: to read it would run its owner's code.
create or replace function audit.joined_partitions(target regclass)
  returns jsonb
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_new text[];
  v_filled text[];
begin
  select array_agg(audit.name_of(r) order by audit.name_of(r)),
      array_agg(audit.name_of(r) order by audit.name_of(r)) filter (where pg_relation_size(r) > 0)
    into v_new, v_filled
    from audit.triggered_relations(target) as r
    where r <> target and not audit.has_trigger(r, '_audit_truncate', true);
  if v_filled is not null then
    raise notice 'rows of % are rows of % from now on, and no action in the log tells of them',
      array_to_string(v_filled, ', '), audit.name_of(target);
  end if;
  return case when v_new is null then '{}' else jsonb_build_object('partitions',
      jsonb_build_object('new', to_jsonb(v_new))) end
    || case when v_filled is null then '{}' else jsonb_build_object('partitions_with_rows',
      jsonb_build_object('new', to_jsonb(v_filled))) end;
end;
$$;

revoke all on function audit.joined_partitions(regclass) from public;

comment on function audit.joined_partitions(regclass) is
  'The partitions of a table that its triggers do not know yet, as changes of a row of the log.';
