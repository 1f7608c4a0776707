-- A declaration is looked over before anything is compiled from it.
create or replace function audit.validate_declaration(
  t audit.tracked, may_create boolean default true
)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem text;
  v_hint text;
begin
  if t.accounts is not null and t.account is not null then
    raise exception 'invalid declaration of %: give account or accounts, not both', t.target
      using errcode = 'UA005';
  end if;
  select f.problem, f.hint into v_problem, v_hint
    from (values
      (t.parent_type is null and t.parent_id is not null,
        'there is a parent_id and no parent_type',
        'parent_type says of what kind the item is that the id is of: give both or neither.'),
      (t.parent_type is not null and t.parent_id is null,
        'there is a parent_type and no parent_id',
        'parent_id is an expression for the id of an item of that type: give both or neither.'),
      (t.part is null and t.part_name is not null,
        'there is a part_name and no part',
        'part says what the parts are called in changes, such as features: give it, or leave both '
          'out.'),
      (t.on_truncate not in ('log', 'refuse'),
        format('on_truncate is log or refuse, not %s', t.on_truncate),
        'log leaves a row about a TRUNCATE in the log, refuse makes it an error.'),
      (jsonb_typeof(t.actions) <> 'array',
        format('actions is an array, not of type %s', jsonb_typeof(t.actions)),
        'For example: [{"action": "invoice_paid", "on": "update", "columns": ["paid_at"]}]'),
      -- What every entry of an index of the log has, beside an id.
      (length(t.item_type) > 100, 'the item_type is longer than 100 characters', ''),
      (length(t.parent_type) > 100, 'the parent_type is longer than 100 characters', '')
    ) as f (is_so, problem, hint)
    where f.is_so
    limit 1;
  if v_problem is not null then
    raise exception 'invalid declaration of %: %', t.target, v_problem
      using errcode = 'UA005', hint = v_hint;
  end if;
  if jsonb_typeof(t.lookups) <> 'object' then
    raise exception 'invalid declaration of %: lookups is an object {"alias": "column"}', t.target
      using errcode = 'UA005';
  end if;
  select coalesce(
      (select format('there is no column %s to be operational or secret', quote_ident(c))
       from unnest(t.operational || t.secret) as c
       where not exists (select from pg_attribute as a
                         where a.attrelid = t.target and a.attname = c and a.attnum > 0
                           and not a.attisdropped)
       limit 1),
      (select format('the lookup %s has no foreign key to follow (%s)', e.key, e.value)
       from jsonb_each_text(t.lookups) as e
       where e.key not in (select l.alias from audit.lookups_of(t) as l) limit 1),
      (select format('the lookup %s has a name that triggers use themselves', e.key)
       from jsonb_each_text(t.lookups) as e
       where e.key in ('old', 'new') or starts_with(e.key, '_audit') limit 1),
      audit.problem_of_rules(t),
      -- Where nothing may be created to try an expression with.
      case when not may_create then audit.problem_of_names(t) end)
    into v_problem;
  if v_problem is not null then
    if v_problem ~ 'has no foreign key to follow' then
      v_hint := format('alter table %s add foreign key (%s) references ...;',
        audit.name_of(t.target), substring(v_problem from '\(([^()]*)\)$'));
    end if;
    raise exception 'invalid declaration of %: %', t.target, v_problem
      using errcode = 'UA005', hint = coalesce(v_hint, '');
  end if;
  if may_create then
    perform audit.validate_expressions(t);
  end if;
end;
$$;

revoke all on function audit.validate_declaration(audit.tracked, boolean) from public;

comment on function audit.validate_declaration(audit.tracked, boolean) is
  'Raises an error that says what is wrong with a declaration.';
