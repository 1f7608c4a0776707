-- Which tracked tables a command left different from what was compiled for them. Of those that it
-- did not touch only what costs next to nothing is asked, however many there are: a table or a
-- trigger that is gone (with something else, by a cascade), a name that is another one.
create or replace function audit.stale_tables(touched oid[], may_drop boolean)
  returns setof regclass
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set jit = off
as $$
declare
  v_touched oid[] := array(
    select unnest(touched) union select a.relid from unnest(touched) as r (id)
    join pg_class as c on c.oid = r.id and c.relispartition
    cross join lateral pg_partition_ancestors(c.oid) as a);
begin
  return query
    select k.target from audit.tracked as k
    where k.tables::oid[] && v_touched and audit.is_stale(k, v_touched);
  if may_drop then
    return query
      select k.target
      from audit.tracked as k
      left join pg_class as c on c.oid = k.target
      left join pg_namespace as n on n.oid = c.relnamespace
      where not k.tables::oid[] && v_touched
        and (c.oid is null or format('%I.%I', n.nspname, c.relname) <> k.table_name
          or k.trigger_count > (
            select count(*) from pg_trigger as g
            where g.tgrelid = k.target and g.tgname ~ '^_audit_' and g.tgenabled in ('A', 'D')));
  end if;
end;
$$;

revoke all on function audit.stale_tables(oid[], boolean) from public;

comment on function audit.stale_tables(oid[], boolean) is
  'The tracked tables that no longer fit what was compiled for them, after a command on some tables.';
