-- Whether the log can be found by its indexes, and holds every letter.
create or replace function audit.check_storage()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'index_invalid', 'error', audit.name_of(i.indexrelid),
    format('The index of %s is not valid: it is not used, and reading is slow.',
      audit.name_of(i.indrelid)),
    -- Left over where REINDEX CONCURRENTLY was broken off; the index that it was made for is there.
    format(case when c.relname ~ '_cc(new|old)[0-9]*$' then 'drop index %s;'
      else 'reindex index %s;' end, audit.name_of(i.indexrelid))
  from pg_partition_tree('audit.log') as p
  join pg_class as r on r.oid = p.relid
  join pg_index as i on i.indrelid in (r.oid, r.reltoastrelid)
  join pg_class as c on c.oid = i.indexrelid
  where not (i.indisvalid and i.indisready and i.indislive) and p.isleaf
    -- Whoever is at it holds this lock: REINDEX on the index, CREATE INDEX on its table.
    and not exists (
      select from pg_locks as l
      where l.mode = 'ShareUpdateExclusiveLock' and l.granted
        and l.database = (select d.oid from pg_database as d where d.datname = current_database())
        and l.relation = case when c.relname ~ '_cc(new|old)[0-9]*$' then i.indexrelid
          else i.indrelid end)
  union all
  select 'encoding_wrong', 'error', quote_ident(d.datname),
    format('The encoding of the database is %s: it cannot hold every letter, or holds bytes that '
      'are none. Make another, then pg_dump and pg_restore.', pg_encoding_to_char(d.encoding)),
    format('create database %I template template0 encoding ''UTF8'';', d.datname || '_utf8')
  from pg_database as d
  where d.datname = current_database() and pg_encoding_to_char(d.encoding) <> 'UTF8'
$$;

revoke all on function audit.check_storage() from public;

comment on function audit.check_storage() is
  'Findings: invalid indexes of the log, and an encoding other than UTF-8.';
