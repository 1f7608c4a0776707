-- Runs statements under the search path of the caller, in their order; where a constraint is against
-- it, those that can run first do.
create or replace function audit.undo_run(statements text[])
  returns integer
  language plpgsql
as $$
declare
  v_statement pg_catalog.text;
  v_left pg_catalog.text[] := $1;
  v_again pg_catalog.text[];
  v_count pg_catalog.int4;
begin
  begin
    foreach v_statement in array v_left loop
      perform audit.undo_one(v_statement);
    end loop;
    return pg_catalog.cardinality(v_left);
  exception when foreign_key_violation or unique_violation or exclusion_violation then
    null;
  end;
  loop
    v_again := '{}';
    foreach v_statement in array v_left loop
      begin
        perform audit.undo_one(v_statement);
      exception when foreign_key_violation or unique_violation or exclusion_violation then
        v_again := pg_catalog.array_append(v_again, v_statement);
      end;
    end loop;
    v_count := pg_catalog.cardinality(v_again);
    if v_count operator(pg_catalog.=) 0 then
      return pg_catalog.cardinality($1);
    elsif v_count operator(pg_catalog.=) pg_catalog.cardinality(v_left) then
      -- Nothing goes on: the error itself says why.
      perform audit.undo_one(v_again[1]);
    end if;
    v_left := v_again;
  end loop;
end;
$$;

revoke all on function audit.undo_run(text[]) from public;

comment on function audit.undo_run(text[]) is 'Runs the statements of an undo; returns how many.';
