-- What came after an import may rest on its rows: a later import left out those that were there, and
-- an export has taken them elsewhere, where they would be rows of no log.
create or replace function audit.validate_undo(era audit.era)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_later integer;
  v_exported timestamptz;
begin
  select e.number into v_later
    from audit.era as e
    where e.number > era.number and e.kind = 'imported'
    order by e.number desc
    limit 1;
  if found then
    raise exception 'import % came after import %', v_later, era.number
      using errcode = 'object_in_use',
        hint = format('Undo that one first: select audit.undo_import(%s);', v_later);
  end if;
  select l.occurred_at into v_exported
    from audit.log as l
    where l.action = 'log_exported' and l.era >= era.number
      -- So few partitions are read; the clock may have been set back a little.
      and l.occurred_at >= era.began_at - interval '1 day'
    order by l.occurred_at
    limit 1;
  if found then
    raise exception 'the log was exported at %, after import %', v_exported, era.number
      using errcode = 'object_in_use',
        hint = 'What was exported may have its rows, so they stay.';
  end if;
end;
$$;

revoke all on function audit.validate_undo(audit.era) from public;

comment on function audit.validate_undo(audit.era) is
  'Refuses to undo an import that something else may refer to.';
