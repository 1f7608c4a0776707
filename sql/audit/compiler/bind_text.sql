-- A declared expression as text over the bound row. A lone column is turned into text the way its
-- type is; anything else by a cast.
create or replace function audit.bind_text(t audit.tracked, expression text, names jsonb)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select audit.text_value(c.type, format('(%s)', names ->> c.name))
     from audit.column_of(t.target) as c
     where c.name = audit.fold_name(trim(bind_text.expression))),
    (select audit.text_value(c.type, format('%I.%I', l.alias, c.name))
     from audit.lookup_of(t) as l
     cross join lateral audit.column_of(l.target) as c
     where l.alias || '.' || c.name = audit.fold_name(trim(bind_text.expression))
       and bind_text.expression ~ '^[a-zA-Z0-9_$."]+$'),
    format('(%s)::text', audit.rewrite_expression(coalesce(bind_text.expression, 'null'), names)))
$$;

revoke all on function audit.bind_text(audit.tracked, text, jsonb) from public;

comment on function audit.bind_text(audit.tracked, text, jsonb) is
  'SQL for a declared expression, as text.';
