-- A value of the log as its type writes it: what JSON writes otherwise is read by the type once.
create or replace function audit.undo_text(value jsonb, kept_as text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_text text;
begin
  if kept_as = 'pg_catalog.jsonb' then
    return undo_text.value::text;
  end if;
  v_text := undo_text.value #>> '{}';
  if v_text is null then
    return null;
  elsif jsonb_typeof(undo_text.value) = 'array' then
    v_text := case when kept_as in ('pg_catalog.int2vector', 'pg_catalog.oidvector')
      then (select coalesce(string_agg(e.item, ' ' order by e.n), '')
            from jsonb_array_elements_text(undo_text.value) with ordinality as e (item, n))
      else audit.undo_array(undo_text.value, kept_as) end;
    if v_text is not null then
      execute format('select concat(%L::%s)', v_text, kept_as) into v_text;
    end if;
    return v_text;
  end if;
  return case replace(kept_as, '"', '')
    when 'pg_catalog.timestamptz' then concat(v_text::timestamptz)
    when 'pg_catalog.timestamp' then concat(v_text::timestamp)
    when 'pg_catalog.float8' then concat(v_text::float8)
    when 'pg_catalog.float4' then concat(v_text::float4)
    when 'pg_catalog.bool' then concat(v_text::bool)
    else v_text end;
end;
$$;

revoke all on function audit.undo_text(jsonb, text) from public;

comment on function audit.undo_text(jsonb, text) is
  'The text of a value of which the log has the JSON; null where there was none, or JSON does not '
  'tell what it was.';
