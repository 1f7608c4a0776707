-- The statement triggers around an UPDATE that may move rows from one partition to another.
create or replace function audit.compile_moves(
  t audit.tracked, compiled jsonb, variables text[], setting text, root text, delete_body text,
  settings text[]
)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'functions', (compiled -> 'functions') || jsonb_build_object(t.slug || '_move',
      audit.compile_function(t, 'move', variables, format(
E'  if tg_when = ''BEFORE'' then
    perform set_config(%1$s, '':'', true);
    return null;
  end if;
  v_moving := current_setting(%1$s, true);
  perform set_config(%1$s, '''', true);
  if v_moving <> '':'' then
    declare
      old %2$s := substr(v_moving, 2)::%2$s;
    begin
%3$s    end;
  end if;
', setting, root, delete_body), true, settings)),
    'triggers', (compiled -> 'triggers') || jsonb_build_object(
      '_audit_move', format('before update%s on %s for each statement execute function audit.%I()',
        m.list, t.target, t.slug || '_move'),
      '_audit_moved', format('after update%s on %s for each statement execute function audit.%I()',
        m.list, t.target, t.slug || '_move')))
  from (
    select case when r.has_before_update or r.partition_columns = '{}' then ''
      else ' of ' || (select string_agg(quote_ident(c), ', ')
                      from unnest(r.partition_columns) as c) end as list
    from audit.table_trait(t.target) as r
  ) as m
$$;

revoke all on function
  audit.compile_moves(audit.tracked, jsonb, text[], text, text, text, text[]) from public;

comment on function
  audit.compile_moves(audit.tracked, jsonb, text[], text, text, text, text[]) is
  'Adds the triggers that put together what a row moving between partitions is taken apart into.';
