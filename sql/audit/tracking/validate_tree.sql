-- What a parsed expression consists of. The text of a parse tree has each object by its oid, and no
-- string of the expression can look like a node of it: there, blanks and braces have a backslash.
create or replace function audit.validate_tree(t audit.tracked, slot text, tree text)
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_problem text;
  v_hint text := format('Use functions of PostgreSQL that are not volatile, or such of the owner of '
    'the log (%s).', quote_ident(audit.role_for('owner')));
begin
  with object as (
    select distinct m.found[2] as kind, m.found[1] || m.found[2] = 'vartype' as is_column,
      n.oid::oid as oid
    from regexp_matches(tree,
      ' [:]([a-z]*)(func|fno|op|eq|sort|type)(id|oid|no|nos|op|func)? \(?(o )?([0-9 ]+)', 'g')
      as m (found)
    cross join lateral regexp_split_to_table(trim(m.found[5]), ' +') as n (oid)
    where n.oid <> '0'
  ), used as (
    select p.oid, p.proowner as owner, p.provolatile = 'v' as is_volatile,
      format('function %s', p.oid::regprocedure) as name,
      p.proname ~ '^(table|query|cursor|schema|database)_to_xml' as reads_tables
    from object as o join pg_proc as p on p.oid = o.oid and o.kind in ('func', 'fno')
    union all
    select p.oid, case when audit.is_trusted(p.oprowner) then f.proowner else p.oprowner end,
      f.provolatile = 'v', format('operator %s', p.oid::regoperator), false
    from object as o
    join pg_operator as p on p.oid = o.oid and o.kind in ('op', 'eq', 'sort')
    join pg_proc as f on f.oid = p.oprcode
    union all
    select y.oid, y.typowner, false, format('type %s', format_type(y.oid, null)), false
    from object as o join pg_type as y on y.oid = o.oid and o.kind = 'type'
    -- Queries for accounts see columns of tables as they are.
    where slot <> 'accounts'
      or not exists (select from object as c where c.is_column and c.oid = y.oid)
  )
  select case
      when u.oid >= 16384 and not audit.is_trusted(u.owner) then
        format('it uses %s, which belongs to %s', u.name, quote_ident(pg_get_userbyid(u.owner)))
      when u.is_volatile then format('it uses %s, which is volatile', u.name)
      when u.reads_tables then format('it uses %s, which reads tables', u.name)
      when not has_function_privilege(audit.role_for('audit_writer'), u.oid, 'execute')
        then format('it uses %s, which %s may not execute', u.name, audit.role_for('audit_writer'))
      end
    into v_problem
    from used as u
    where (u.oid >= 16384 and not audit.is_trusted(u.owner)) or u.is_volatile or u.reads_tables
      or (u.name ~ '^function' and u.oid >= 16384
        and not has_function_privilege(audit.role_for('audit_writer'), u.oid, 'execute'))
    limit 1;
  if v_problem is null and slot <> 'accounts' then
    select case m.node[1]
        when 'SUBLINK' then 'it has a subquery, which accounts alone may have'
        when 'AGGREF' then 'it has an aggregate'
        when 'WINDOWFUNC' then 'it has a window function'
        else format('it has what expressions may not have (%s)', lower(m.node[1])) end
      into v_problem
      from regexp_matches(tree, '(?<!\\)\{([A-Z_]+)', 'g') as m (node)
      where m.node[1] <> all (array['ARRAYCOERCEEXPR', 'ARRAYEXPR', 'BOOLEANTEST', 'BOOLEXPR',
        'CASEEXPR', 'CASETESTEXPR', 'CASEWHEN', 'COALESCEEXPR', 'COERCEVIAIO', 'COLLATEEXPR',
        'CONST', 'DISTINCTEXPR', 'FROMEXPR', 'FUNCEXPR', 'JSONBEHAVIOR', 'JSONCONSTRUCTOREXPR',
        'JSONEXPR', 'JSONFORMAT', 'JSONISPREDICATE', 'JSONRETURNING', 'JSONVALUEEXPR', 'MINMAXEXPR',
        'NAMEDARGEXPR', 'NULLIFEXPR', 'NULLTEST', 'OPEXPR', 'PARAM', 'QUERY', 'RELABELTYPE',
        'ROWCOMPAREEXPR', 'ROWEXPR', 'SCALARARRAYOPEXPR', 'SQLVALUEFUNCTION', 'SUBSCRIPTINGREF',
        'TARGETENTRY'])
      order by m.node[1] = 'SUBLINK' desc
      limit 1;
    if v_problem is null and tree ~ ' [:]funcretset true ' then
      v_problem := 'it has a function that returns a set';
    end if;
  end if;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %: %', t.target, slot, v_problem
      using errcode = 'UA005', hint = v_hint;
  end if;
end;
$$;

revoke all on function audit.validate_tree(audit.tracked, text, text) from public;

comment on function audit.validate_tree(audit.tracked, text, text) is
  'Raises an error where a parsed expression uses what the log must not run.';
