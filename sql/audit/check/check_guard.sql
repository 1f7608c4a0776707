-- Whether the log can only grow: its guards are on every partition, and fire.
create or replace function audit.check_guard()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with guard as (
    select p.relid, p.parentrelid, audit.name_of(p.relid) as relation, n.name, n.ddl, g.tgenabled
    from pg_partition_tree('audit.log') as p
    cross join (values
      ('refuse_change', 'before update or delete on %s for each row'),
      ('refuse_truncate', 'before truncate on %s for each statement')) as n (name, ddl)
    left join pg_trigger as g on g.tgrelid = p.relid and g.tgname = n.name
      and g.tgfoid = 'audit.refuse_change()'::regprocedure
  )
  select case when g.tgenabled is null then 'guard_missing' else 'guard_disabled' end, 'error',
    format('%I on %s', g.name, g.relation),
    'Rows of the log can be changed or deleted: the trigger that refuses it is '
      || case when g.tgenabled is null then 'gone.' else 'disabled, or not enabled always.' end,
    case when g.tgenabled is null then format('drop trigger if exists %1$I on %2$s; '
      'create trigger %1$I %3$s execute function audit.refuse_change(); ', g.name, g.relation,
      format(g.ddl, g.relation)) else '' end
    || format('alter table %s enable always trigger %I;', g.relation, g.name)
  from guard as g
  where g.tgenabled is distinct from 'A'
    -- The guard of rows comes to the partitions from the log.
    and not (g.name = 'refuse_change' and g.parentrelid is not null
      and exists (select from guard as p
                  where p.relid = g.parentrelid and p.name = g.name
                    and p.tgenabled is not distinct from g.tgenabled))
$$;

revoke all on function audit.check_guard() from public;

comment on function audit.check_guard() is
  'Findings: partitions of the log whose rows can be changed or deleted.';
