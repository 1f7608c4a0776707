-- Whether the eras of the log hang together: rows are written in the newest one, and all are of one
-- log. Exports count by them, so a row too many makes them leave rows out.
create or replace function audit.check_eras()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with written as (
    select coalesce(substring(pg_get_expr(d.adbin, d.adrelid) from '\d+'), '')::text as era
    from pg_attribute as a
    left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'audit.log'::regclass and a.attname = 'era'
  )
  select 'era_wrong', 'error', 'audit.era', f.message,
    'select audit.begin_era(); -- after what was added by hand is deleted from audit.era'
  from (
    select format('Rows are written as of era %s, and the newest that is complete is %s.', w.era,
      (select max(e.number) from audit.era as e where not e.is_open)) as message
    from written as w
    where w.era is distinct from
      (select max(e.number)::text from audit.era as e where not e.is_open)
    union all
    select 'The eras are not of one log, or not numbered one after the other.'
    from audit.era as e
    having count(distinct e.log) <> 1 or max(e.number) <> count(*) or min(e.number) <> 1
      or count(*) filter (where e.is_open) > 1
    limit 1
  ) as f
  union all
  select 'era_foreign', 'warning', 'audit.era',
    'The log was restored on another server, where transaction ids count from somewhere else: '
    'exports go on when it is told so.',
    'select audit.begin_era();'
  from audit.era as e
  where e.number = (select max(m.number) from audit.era as m)
    and e.server <> (select s.system_identifier from pg_control_system() as s)
$$;

revoke all on function audit.check_eras() from public;

comment on function audit.check_eras() is 'Findings: eras that do not hang together.';
