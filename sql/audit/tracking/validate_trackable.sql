-- What cannot be tracked is refused, with the reason and a way out.
create or replace function audit.validate_trackable(target regclass)
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_class record;
  v_reason text;
  v_hint text;
begin
  select c.*, n.nspname,
      audit.key_of(c.oid) <> '{}' as has_key,
      exists (select from pg_inherits as h where h.inhparent = c.oid or h.inhrelid = c.oid)
        as has_inheritance,
      exists (select from pg_partition_tree(c.oid) as p join pg_class as f on f.oid = p.relid
              where f.relkind = 'f') as has_foreign_partition,
      (select format('select audit.untrack(%L);', audit.name_of(k.target))
       from pg_partition_tree(c.oid) as p join audit.tracked as k on k.target = p.relid
       where p.relid <> c.oid limit 1) as untrack_partition
    into v_class
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where c.oid = validate_trackable.target;

  if v_class.relkind is null then
    v_reason := 'there is no such table';
    v_hint := 'Name a table.';
  elsif v_class.nspname = 'audit' then
    v_reason := 'it belongs to the audit log itself';
    v_hint := 'Track the tables of your application.';
  elsif v_class.nspname in ('pg_catalog', 'information_schema', 'pg_toast') then
    v_reason := 'it belongs to PostgreSQL';
    v_hint := 'Track the tables of your application.';
  elsif v_class.relkind in ('v', 'm') then
    v_reason := 'it is a view';
    v_hint := 'Track the tables that it reads: a write through the view fires their triggers.';
  elsif v_class.relkind = 'f' then
    v_reason := 'it is a foreign table, which others write without firing triggers here';
    v_hint := 'Track the table on the server that it lives on.';
  elsif v_class.relkind not in ('r', 'p') then
    v_reason := 'it is not a table';
    v_hint := 'Name a table.';
  elsif v_class.relpersistence = 't' then
    v_reason := 'it is a temporary table, gone with its session';
    v_hint := 'Track a permanent table.';
  elsif v_class.relispartition then
    v_reason := 'it is a partition';
    v_hint := format('Track the table it is a partition of: %s.',
      (select audit.name_of(root) from pg_partition_root(validate_trackable.target) as root));
  elsif v_class.relkind = 'r' and v_class.has_inheritance then
    v_reason := 'it inherits or is inherited from, so one trigger does not see all its rows';
    v_hint := 'Use declarative partitioning, or separate tables.'
      || case when exists (select from audit.tracked as k where k.target = validate_trackable.target)
        then format(' Tracking ends with: select audit.untrack(%L);',
          audit.name_of(validate_trackable.target)) else '' end;
  elsif v_class.has_foreign_partition then
    v_reason := 'one of its partitions is a foreign table';
    v_hint := 'Detach the foreign partition, or track the table on the server that it lives on.';
  elsif v_class.untrack_partition is not null then
    v_reason := 'one of its partitions is tracked by itself';
    v_hint := format('First: %s', v_class.untrack_partition);
  elsif not v_class.has_key then
    v_reason := 'it has no primary key, so its rows have no identity';
    v_hint := format('alter table %s add primary key (...);',
      audit.name_of(validate_trackable.target));
  else
    return;
  end if;
  raise exception 'cannot track %: %', validate_trackable.target, v_reason
    using errcode = 'UA001', hint = v_hint;
end;
$$;

revoke all on function audit.validate_trackable(regclass) from public;

comment on function audit.validate_trackable(regclass) is
  'Raises an error with the reason if a relation cannot be tracked.';
