-- The text of an array that the log keeps as JSON; null where JSON does not tell what it was.
create or replace function audit.undo_array(value jsonb, kept_as text)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_item jsonb;
  v_text text;
  v_texts text[] := '{}';
  v_is_document constant boolean := kept_as = 'pg_catalog._jsonb';
begin
  for v_item in select jsonb_array_elements(undo_array.value) loop
    v_text := case
      when v_is_document and jsonb_typeof(v_item) in ('null', 'array') then null
      when jsonb_typeof(v_item) = 'null' then 'NULL'
      when jsonb_typeof(v_item) = 'array' then audit.undo_array(v_item, kept_as)
      else '"' || replace(replace(
        case when v_is_document then v_item::text else v_item #>> '{}' end,
        '\', '\\'), '"', '\"') || '"' end;
    if v_text is null then
      return null;
    end if;
    v_texts := v_texts || v_text;
  end loop;
  return '{' || array_to_string(v_texts, ',') || '}';
end;
$$;

revoke all on function audit.undo_array(jsonb, text) from public;

comment on function audit.undo_array(jsonb, text) is
  'The text of an array of which the log has the JSON; null where JSON does not tell what it was.';
