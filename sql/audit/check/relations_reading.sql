-- What rows of the log are read from: its partitions, and the views on them, whichever way round.
create or replace function audit.relations_reading()
  returns setof oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive reading (oid) as (
    select p.relid::oid from pg_partition_tree('audit.log') as p
    union
    select w.ev_class
    from reading as r
    join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = r.oid
      and d.classid = 'pg_rewrite'::regclass
    join pg_rewrite as w on w.oid = d.objid
  )
  select r.oid from reading as r
$$;

revoke all on function audit.relations_reading() from public;

comment on function audit.relations_reading() is
  'The log, its partitions, and all views that read them, through other views too.';
