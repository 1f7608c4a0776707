-- A declared expression as text over the bound row. A lone column is turned into text the way its
-- type is; anything else by a cast.
create or replace function audit.bind_text(t audit.tracked, expression text, names jsonb)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text := audit.fold_name(trim(bind_text.expression));
begin
  if bind_text.expression is null then
    return '(null)::text';
  end if;
  return coalesce(
    (select audit.text_value(c.type, names ->> c.name)
     from audit.columns_of(t.target) as c
     where c.name = v_name),
    (select audit.text_value(audit.presented_type(a.atttypid), format('%I.%I', l.alias, a.attname))
     from audit.lookups_of(t) as l
     join pg_attribute as a on a.attrelid = l.target and a.attnum > 0 and not a.attisdropped
     where l.alias || '.' || a.attname = v_name and bind_text.expression ~ '^[a-zA-Z0-9_$."]+$'),
    format('(%s)::text', audit.bind_expression(t, bind_text.expression, names, 'text')));
end;
$$;

revoke all on function audit.bind_text(audit.tracked, text, jsonb) from public;

comment on function audit.bind_text(audit.tracked, text, jsonb) is
  'SQL for a declared expression, as text.';
