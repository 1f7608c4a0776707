-- Takes back what an import brought. The log is append-only but for this: the rows of an import that
-- nothing else refers to, with a row that says so, under the lock of the owner.
create or replace function audit.undo_import(era integer)
  returns bigint
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set lock_timeout = '10s'
as $$
declare
  v_era audit.era;
  v_partition text;
  v_found bigint;
  v_rows bigint := 0;
begin
  begin
    lock table audit.era in share update exclusive mode;
  exception
    when lock_not_available then
      raise exception 'an import into this log is under way'
        using errcode = 'object_in_use', hint = 'Wait for it to end.';
  end;
  select * into v_era from audit.era as e
    where e.number = undo_import.era and e.kind = 'imported'
    for update;
  if not found then
    raise exception 'there is no import % that could be undone', undo_import.era
      using errcode = 'undefined_object',
        hint = 'Those that can: select number, imported from audit.era where kind = ''imported'';';
  end if;
  perform audit.validate_undo(v_era);

  -- What is undone and open is being undone: the guard lets its rows go.
  update audit.era as e set kind = 'undone', is_open = true where e.number = v_era.number;
  for v_partition in
    select l.partition
    from audit.partition_list() as l
    where l.lower_bound <= (v_era.imported ->> 'until')::timestamptz
      and l.upper_bound > (v_era.imported ->> 'since')::timestamptz
  loop
    execute format('delete from audit.%I where era = %s', v_partition, -v_era.number);
    get diagnostics v_found = row_count;
    v_rows := v_rows + v_found;
    -- Its summary tells of rows that are gone.
    if v_found > 0 then
      delete from audit.closed_partition as c where c.partition = v_partition;
    end if;
  end loop;
  if v_rows < (v_era.imported ->> 'new_rows')::bigint then
    raise exception 'of the % rows of import % only % are in the log', v_era.imported ->> 'new_rows',
      v_era.number, v_rows
      using errcode = 'object_in_use',
        hint = 'Attach the partitions that were detached since.';
  end if;
  perform audit.forget_layouts(v_era.imported -> 'layouts');

  if v_rows = 0 and v_era.is_open then
    delete from audit.era as e where e.number = v_era.number;
    return 0;
  end if;
  if not v_era.is_open then
    update audit.era as e set is_open = false where e.number = v_era.number;
  end if;
  perform audit.add_era('undo');
  perform audit.write_log_event('log_import_undone', (
      select l.account_id
      from audit.log as l
      where l.action = 'log_imported' and l.era >= v_era.number
        and l.changes #> '{import,new}' = to_jsonb(v_era.number)
        and l.occurred_at >= v_era.began_at - interval '1 day'
      limit 1),
    jsonb_build_object('import', v_era.number, 'rows', v_rows,
      'sha256', v_era.imported -> 'sha256'));
  return v_rows;
end;
$$;

revoke all on function audit.undo_import(integer) from public;

comment on function audit.undo_import(integer) is
  'Public. Takes the rows of an import out of the log, whole or broken off, while nothing else refers '
  'to them; returns how many.';
