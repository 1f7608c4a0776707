-- Where a baseline is done, or its table is tracked no more: no function of it is left.
create or replace function audit.remove_baseline(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text;
begin
  foreach v_name in array array['_baseline_write', '_baseline_rows', '_baseline_lock'] loop
    if to_regproc(format('audit.%I', t.slug || v_name)) is not null then
      execute format('drop function audit.%I', t.slug || v_name);
    end if;
  end loop;
end;
$$;

revoke all on function audit.remove_baseline(audit.tracked) from public;

comment on function audit.remove_baseline(audit.tracked) is
  'Drops the functions of the baseline of a table.';
