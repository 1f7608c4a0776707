-- One expression of a declaration, tried without reading or planning anything: as the body of a
-- function that is only parsed. What it came to be is then looked through: functions of PostgreSQL
-- or of the log's owner, nothing volatile, and tables in the query for accounts alone.
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
  v_virtual text[] := array(select a.attname from pg_attribute as a
    where a.attrelid = t.target and a.attgenerated = 'v' and not a.attisdropped);
  v_parameters text[];
  v_text text;
  v_tree text;
begin
  select case
      when regexp_replace(n.name, '^(old|new)\.', '') = any (v_virtual)
        then format('column %s is generated and virtual, so that triggers do not see its value: '
          'name what it is made of', n.name)
      when v_types ? n.name
        then format('column %s is ambiguous: it is old.%1$s or new.%1$s', n.name)
      else format('column %s does not exist', n.name) end
    into v_problem
    from audit.names_in(expression) as n (name)
    where n.name = any (v_virtual) and slot <> 'accounts'
      or n.name ~ '^(old|new)\.' and substr(n.name, 5) = any (v_virtual)
      or slot = 'when' and event = 'update' and v_types ? n.name and strpos(n.name, '.') = 0
      or not v_types ? n.name and split_part(n.name, '.', 2) <> '' and (
        t.lookups ? split_part(n.name, '.', 1) and slot not in ('when', 'accounts')
        or slot = 'when' and n.name ~ '^(old|new)\.')
    limit 1;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %: %', t.target, slot, v_problem
      using errcode = 'UA005', hint = v_hint;
  end if;
  select o.types, o.body into v_parameters, v_text
    from audit.over_parameters(t, expression, case slot
      when 'accounts' then '^new\.'
      when 'when' then case event when 'insert' then '^(new\.|[^.]+$)'
        when 'delete' then '^(old\.|[^.]+$)' else '^(old|new)\.' end
      else '^(?!(old|new)\.)' end) as o;
  begin
    -- Bare and in brackets, so that it is whole.
    execute format(
      'create function audit.expression(%s) returns void language sql begin atomic %s; %s; end',
      array_to_string(v_parameters, ', '),
      case slot when 'accounts' then v_text else 'select ' || v_text end,
      format(case slot when 'when' then 'select ((%s) is true)'
        else 'select (%s)::pg_catalog.text' end, v_text));
  exception
    when syntax_error_or_access_rule_violation or data_exception then
      if sqlstate = '42501' then
        raise;
      end if;
      raise exception 'invalid declaration of %: %: %', t.target, slot, sqlerrm
        using errcode = 'UA005', hint = v_hint;
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
