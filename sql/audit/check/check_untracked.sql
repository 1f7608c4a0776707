-- Tables beside tracked ones that nobody has decided about. Those in which tools note their
-- migrations need no decision.
create or replace function audit.check_untracked()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_target regclass;
  v_name text;
  v_hint text;
begin
  for v_target in
    select c.oid
    from pg_class as c
    where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
      and c.relnamespace in (select t.relnamespace from audit.tracked as k
                             join pg_class as t on t.oid = k.target)
      and not exists (select from audit.tracked as k where k.target = c.oid)
      and not exists (select from audit.ignored as i where i.target = c.oid)
      and not exists (select from pg_depend as d
                      where d.classid = 'pg_class'::regclass and d.objid = c.oid
                        and d.deptype = 'e')
      and lower(c.relname) <> all (array[
        '__diesel_schema_migrations', '__efmigrationshistory', '_prisma_migrations',
        '_sqlx_migrations', 'alembic_version', 'ar_internal_metadata', 'databasechangelog',
        'databasechangeloglock', 'django_migrations', 'doctrine_migration_versions',
        'flyway_schema_history', 'goose_db_version', 'knex_migrations', 'knex_migrations_lock',
        'mikro_orm_migrations', 'phinxlog', 'refinery_schema_history', 'schema_migrations',
        'schema_version', 'sequelizemeta', 'typeorm_metadata'])
    order by c.oid
  loop
    v_name := audit.name_of(v_target);
    begin
      perform audit.validate_trackable(v_target);
      return query select 'table_untracked', 'info', v_name,
        'The table is not tracked, but others of its schema are. Where it shall not be, say so by '
        'audit.ignore().',
        format('select audit.track(%1$L); -- or: select audit.ignore(%1$L);', v_name);
    exception
      when sqlstate 'UA001' then
        get stacked diagnostics v_hint = pg_exception_hint;
        return query select 'table_untracked', 'info', v_name,
          format('The table is not tracked, but others of its schema are: %s.', sqlerrm),
          format('%s -- or: select audit.ignore(%L);', v_hint, v_name);
    end;
  end loop;
end;
$$;

revoke all on function audit.check_untracked() from public;

comment on function audit.check_untracked() is
  'Findings: tables that are not tracked in schemas that have tracked ones.';
