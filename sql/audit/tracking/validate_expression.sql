-- One expression of a declaration, tried without reading or planning anything: as the body of a function
-- that is only parsed. What it came to be is then looked through: functions of PostgreSQL or of the
-- log's owner, nothing volatile, and tables in the query for accounts alone.
create or replace function audit.validate_expression(
  t audit.tracked, slot text, expression text, event text,
  out columns jsonb, out is_plain boolean
)
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set check_function_bodies = on
as $$
declare
  v_hint constant text := 'Expressions name columns of the table, or alias.column of a lookup; '
    'conditions name old.column and new.column.';
  v_problem text;
  v_types jsonb := audit.name_types(t);
  v_names text[];
  v_text text;
  v_tree text;
begin
  select case
      when v_types ? n.name then format('column %s is ambiguous: it is old.%1$s or new.%1$s', n.name)
      else format('column %s does not exist', n.name) end
    into v_problem
    from audit.names_in(expression) as n (name)
    where slot = 'when' and event = 'update' and v_types ? n.name and strpos(n.name, '.') = 0
      or not v_types ? n.name and split_part(n.name, '.', 2) <> '' and (
        t.lookups ? split_part(n.name, '.', 1) and slot not in ('when', 'accounts')
        or slot = 'when' and n.name ~ '^(old|new)\.')
    limit 1;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %: %', t.target, slot, v_problem
      using errcode = 'UA005', hint = v_hint;
  end if;
  select coalesce(array_agg(n.name), '{}') into v_names
    from audit.names_in(expression) as n (name)
    where v_types ? n.name and case slot
      when 'accounts' then starts_with(n.name, 'new.')
      when 'when' then n.name ~ case event when 'insert' then '^new\.' when 'delete' then '^old\.'
          else '^(old|new)\.' end
        or (event <> 'update' and strpos(n.name, '.') = 0)
      else n.name !~ '^(old|new)\.' end;
  select audit.rewrite_expression(expression, coalesce(jsonb_object_agg(n.name,
      format('($%s)', n.place)), '{}')) into v_text
    from unnest(v_names) with ordinality as n (name, place);
  begin
    -- Bare and in brackets, so that it is whole.
    execute format(
      'create function audit.expression(%s) returns void language sql begin atomic %s; %s; end',
      (select string_agg(v_types ->> n.name, ', ' order by n.place)
       from unnest(v_names) with ordinality as n (name, place)),
      case slot when 'accounts' then v_text else 'select ' || v_text end,
      format(case slot when 'when' then 'select ((%s) is true)' else 'select (%s)::pg_catalog.text' end,
        v_text));
  exception
    when syntax_error_or_access_rule_violation or data_exception then
      if sqlstate = '42501' then
        raise;
      end if;
      raise exception 'invalid declaration of %: %: %', t.target, slot, sqlerrm
        using errcode = 'UA005',
          hint = v_hint;
  end;
  select f.prosqlbody::text,
      (select jsonb_object_agg(d.id, d.names) from (
        select d.refobjid as id, array_agg(a.attname) as names
        from pg_depend as d
        left join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
          and a.attnum > 0
        where d.classid = 'pg_proc'::regclass and d.objid = f.oid
          and d.refclassid = 'pg_class'::regclass
        group by d.refobjid) as d),
      not exists (
        select from regexp_matches(f.prosqlbody::text, ' [:]vartype ([0-9]+)', 'g') as m
        where not audit.is_builtin(m[1]::oid))
    into v_tree, columns, is_plain
    from pg_proc as f
    where f.pronamespace = 'audit'::regnamespace and f.proname = 'expression';
  drop function audit.expression;
  columns := coalesce(columns, '{}');
  perform audit.validate_tree(t, slot, v_tree);
end;
$$;

revoke all on function audit.validate_expression(audit.tracked, text, text, text) from public;

comment on function audit.validate_expression(audit.tracked, text, text, text) is
  'Raises an error where an expression of a declaration is not allowed; returns the columns that it '
  'reads, by table, and whether all are of types of PostgreSQL''s own.';
