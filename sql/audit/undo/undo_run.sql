-- Runs the steps of an undo under the search path of the caller, in their order: many of one first
-- piece as one statement. Where a constraint is against that order, those that can run first do.
create or replace function audit.undo_run(heads text[], tails text[], joined text[])
  returns void
  language plpgsql
as $$
declare
  v_left pg_catalog.int4[] := array(select pg_catalog.generate_subscripts($1, 1));
  v_again pg_catalog.int4[];
  v_step pg_catalog.int4;
  v_batch record;
  v_deferrable constant pg_catalog.text := audit.undo_deferrable();
begin
  begin
    for v_batch in select * from audit.undo_batches($1, $2, $3) loop
      perform audit.undo_one(v_batch.statement, v_batch.count);
    end loop;
    return;
  exception when foreign_key_violation or unique_violation or exclusion_violation then
    null;
  end;
  if v_deferrable is not null then
    execute pg_catalog.format('set constraints %s deferred', v_deferrable);
  end if;
  while pg_catalog.cardinality(v_left) operator(pg_catalog.>) 0 loop
    v_again := '{}';
    foreach v_step in array v_left loop
      begin
        perform audit.undo_one($1[v_step] operator(pg_catalog.||) $2[v_step], 1);
      exception when foreign_key_violation or unique_violation or exclusion_violation then
        v_again := pg_catalog.array_append(v_again, v_step);
      end;
    end loop;
    if v_again operator(pg_catalog.=) v_left then
      -- Nothing goes on: the error itself says why.
      perform audit.undo_one($1[v_again[1]] operator(pg_catalog.||) $2[v_again[1]], 1);
    end if;
    v_left := v_again;
  end loop;
  if v_deferrable is not null then
    execute pg_catalog.format('set constraints %s immediate', v_deferrable);
  end if;
end;
$$;

revoke all on function audit.undo_run(text[], text[], text[]) from public;

comment on function audit.undo_run(text[], text[], text[]) is
  'Runs the statements of an undo, given in two pieces and by what they can be joined.';
