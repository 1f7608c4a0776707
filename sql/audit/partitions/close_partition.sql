-- Marks a partition as closed, with its summaries. No row may come in between: creating the trigger
-- waits for whoever writes there, and from then on such a row opens the partition again.
create or replace function audit.close_partition(partition text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_item_types text[];
begin
  execute format(
    'create or replace trigger reopen_partition before insert on audit.%I '
    'for each row execute function audit.reopen_partition()', close_partition.partition);
  execute format('alter table audit.%I enable always trigger reopen_partition',
    close_partition.partition);

  -- What was detached is closed no more.
  delete from audit.closed_partition as c
    where c.partition not in (select l.partition from audit.partition_list() as l);
  delete from audit.presence as p
    where p.partition not in (select c.partition from audit.closed_partition as c)
      or p.partition = close_partition.partition;
  execute format(
    'with counted as (insert into audit.presence (account_id, item_type, item_id, partition, rows) '
    'select l.account_id, i.item_type, i.item_id, %L, count(*) '
    'from audit.%I as l '
    'cross join lateral ('
    '  select '''', '''' '
    '  union select l.item_type, l.item_id '
    '  union select l.parent_type, l.parent_id where l.parent_id is not null'
    ') as i (item_type, item_id) '
    'group by l.account_id, i.item_type, i.item_id '
    'returning item_type) '
    'select array_agg(distinct c.item_type) from counted as c where c.item_type <> ''''',
    close_partition.partition, close_partition.partition)
    into v_item_types;

  delete from audit.belonging as b
    where b.partition not in (select c.partition from audit.closed_partition as c)
      or b.partition = close_partition.partition;
  execute format(
    'insert into audit.belonging (account_id, item_type, item_id, parent_type, parent_id, partition) '
    'select distinct l.*, %L from (%s) as l',
    close_partition.partition,
    audit.belonging_query(format('audit.%I', close_partition.partition), 'true'));

  insert into audit.closed_partition
      (partition, lower_bound, upper_bound, item_types, parent_columns)
    select l.partition, l.lower_bound, l.upper_bound, coalesce(v_item_types, '{}'),
      array(select k::text collate "C" from audit.parent_columns() as k order by 1)
    from audit.partition_list() as l
    where l.partition = close_partition.partition
    on conflict on constraint closed_partition_pkey do update
      set closed_at = default, item_types = excluded.item_types,
        parent_columns = excluded.parent_columns;
end;
$$;

revoke all on function audit.close_partition(text) from public;

comment on function audit.close_partition(text) is
  'Summarises a partition whose time is over in audit.presence and audit.belonging, and puts it '
  'on the list of those that are closed. Called by `auditdb maintain`.';
