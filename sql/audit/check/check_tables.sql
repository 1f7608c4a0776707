-- Whether each tracked table has what its declaration compiles to now, as audit.refresh() sees it.
create or replace function audit.check_tables()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
as $$
declare
  v_tracked audit.tracked;
  v_name text;
  v_mend text;
  v_compiler text := audit.compiler_digest();
  v_inputs text;
  v_is_stale boolean;
  v_hint text;
  -- Without its event trigger the list of columns is left out everywhere: that is one finding, not
  -- one for each table.
  v_is_unfollowed boolean := exists (select from audit.check_event_triggers());
begin
  for v_tracked in select * from audit.tracked as k order by k.id loop
    v_name := audit.name_of(v_tracked.target);
    v_mend := format('select audit.refresh(%L);', v_name);
    if v_name is null then
      return query select 'table_gone', 'warning', v_tracked.compiled ->> 'name',
        'The table was dropped, but its declaration is still there.', 'select audit.refresh();';
      continue;
    end if;
    if not exists (select from pg_index as i
                   where i.indrelid = v_tracked.target and i.indisprimary)
      and audit.key_of(v_tracked.target) <> '{}'
    then
      return query
        select 'key_missing', 'warning', v_name,
          'The table has no primary key. Its rows go by the columns of the one that it had, and '
          'nothing keeps two of them from having the same.',
          format('alter table %s add primary key (%s);', v_name,
            string_agg(quote_ident(a.attname), ', ' order by a.attnum))
        from pg_attribute as a
        where a.attrelid = v_tracked.target and a.attnum = any (audit.key_of(v_tracked.target));
    end if;
    if v_tracked.compiled -> 'triggers' ->> '_audit_update' like 'after update of %'
      and (select r.has_before_update from audit.table_trait(v_tracked.target) as r)
    then
      return query select 'update_trigger_narrow', 'error', v_name,
        'A trigger BEFORE UPDATE may change columns that the statement does not name, and the '
        'audit trigger looks at statements that name audited columns alone.', v_mend;
      continue;
    end if;
    begin
      perform audit.validate_bound(v_tracked);
      v_inputs := audit.inputs_of(v_tracked, v_compiler);
      v_is_stale := case when v_is_unfollowed
        then split_part(v_inputs, ':', 1) <> split_part(v_tracked.inputs, ':', 1)
        else v_inputs <> v_tracked.inputs end;
      if v_is_stale then
        perform audit.validate_trackable(v_tracked.target);
        perform audit.validate_declaration(audit.follow_columns(v_tracked), false);
        return query select 'triggers_stale', 'error', v_name,
          'The table, or one that it looks up, has changed since its triggers were compiled.',
          v_mend;
      end if;
    exception
      -- Its text says what no longer fits; only people know what should stand there instead.
      when others then
        get stacked diagnostics v_hint = pg_exception_hint;
        return query select 'declaration_broken', 'error', v_name,
          format('The declaration no longer fits, so nothing can be compiled: %s.', sqlerrm)
            || rtrim(' ' || v_hint),
          format('select audit.track(%L, ...);', v_name);
    end;
  end loop;
end;
$$;

revoke all on function audit.check_tables() from public;

comment on function audit.check_tables() is
  'Findings: tracked tables that no longer fit what was compiled for them.';
