-- The rows of a tracked table that becomes a partition or a child of another are written through
-- that one from then on, and those of a child through the tracked one, past the triggers of either.
create or replace function audit.refuse_inheritance(touched oid[])
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_target regclass;
  v_child regclass;
  v_parent regclass;
  v_is_partition boolean;
begin
  select k.target, i.inhrelid::regclass, i.inhparent::regclass, c.relispartition
    into v_target, v_child, v_parent, v_is_partition
    from (
      select i.inhrelid, i.inhparent from pg_inherits as i where i.inhrelid = any (touched)
      union
      select i.inhrelid, i.inhparent from pg_inherits as i where i.inhparent = any (touched)
    ) as i
    join pg_class as c on c.oid = i.inhrelid
    -- Where there are any, the declarations are looked for one by one.
    cross join lateral (
      select k.target from audit.tracked as k
      where k.target = any (array[i.inhrelid, case when not c.relispartition then i.inhparent end])
      limit 1) as k
    limit 1;
  if not found then
    return;
  end if;
  raise exception '% cannot % %: % is tracked, and its triggers would not see all rows',
      audit.name_of(v_child), case when v_is_partition then 'become a partition of' else 'inherit' end,
      audit.name_of(v_parent), audit.name_of(v_target)
    using errcode = 'UA001',
      hint = case when v_is_partition
        then format('First: select audit.untrack(%L); then attach it, and track %s.',
          audit.name_of(v_target), audit.name_of(v_parent))
        else format('Use declarative partitioning, or separate tables; or first: '
          'select audit.untrack(%L);', audit.name_of(v_target)) end;
end;
$$;

revoke all on function audit.refuse_inheritance(oid[]) from public;

comment on function audit.refuse_inheritance(oid[]) is
  'Raises an error where one of these tables is tracked and in a hierarchy that its triggers do not see.';
