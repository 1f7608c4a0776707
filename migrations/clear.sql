-- Takes away what is left of schema audit when no revision is in it any more: the version table, and
-- the schema where nothing else is in it.
do $$
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  if to_regclass('audit.alembic_version') is not null then
    if exists (select from audit.alembic_version) then
      return;
    end if;
    drop table audit.alembic_version;
  end if;
  if to_regnamespace('audit') is not null
    and not exists (select from pg_depend as d
                    where d.refclassid = 'pg_namespace'::regclass
                      and d.refobjid = to_regnamespace('audit') and d.deptype = 'n')
  then
    drop schema audit;
  end if;
end;
$$
