-- Row triggers are cloned to partitions by PostgreSQL; of the statement triggers, partitions have
-- the one for TRUNCATE, and those that have partitions themselves the two around a move.
create or replace function audit.carries(relation regclass, target regclass, trigger_name text)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select relation = target or trigger_name = '_audit_truncate'
    or trigger_name in ('_audit_move', '_audit_moved')
      and exists (select from pg_class as c where c.oid = relation and c.relkind = 'p')
$$;

revoke all on function audit.carries(regclass, regclass, text) from public;

comment on function audit.carries(regclass, regclass, text) is
  'Whether a trigger of a tracked table is one that a relation, itself or a partition, is given.';
