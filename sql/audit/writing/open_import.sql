-- Before an import: exports wait until audit.add_era() says that its rows are complete. One that was
-- broken off goes on; the rows of another one must not be left as they are, for nobody would know.
create or replace function audit.open_import(imported jsonb)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_open audit.era;
begin
  select * into v_open from audit.era as e where e.is_open for update;
  if found then
    if v_open.imported -> 'sha256' is distinct from open_import.imported -> 'sha256'
      or v_open.kind <> 'imported'
    then
      raise exception 'import % of another export was broken off, its sha256 is %',
        v_open.number, v_open.imported ->> 'sha256'
        using errcode = 'object_in_use',
          hint = format('Run that import again, or undo it: auditdb import --undo %s',
            v_open.number);
    end if;
    update audit.era as e
      set imported = jsonb_set(e.imported, '{layouts}',
        e.imported -> 'layouts' || (open_import.imported -> 'layouts'))
      where e.number = v_open.number;
    return v_open.number;
  end if;
  insert into audit.era (number, log, server, kind, is_open, imported)
  select e.number + 1, e.log, (select s.system_identifier from pg_control_system() as s),
      'imported', true, open_import.imported || '{"new_rows": 0}'
    from audit.era as e
    where e.number = (select max(m.number) from audit.era as m)
    returning number into v_open.number;
  return v_open.number;
end;
$$;

revoke all on function audit.open_import(jsonb) from public;

comment on function audit.open_import(jsonb) is
  'Begins an import of rows with transaction ids of another server, or goes on with it; returns the '
  'number of its era.';
