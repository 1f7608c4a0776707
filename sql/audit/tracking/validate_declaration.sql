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
  if (t.parent_type is null) <> (t.parent_id is null)
    or (t.part is null) <> (t.part_name is null)
    or t.on_truncate not in ('log', 'refuse') or jsonb_typeof(t.actions) <> 'array' then
    raise exception 'invalid declaration of %: parent_type goes with parent_id and part with '
      'part_name, on_truncate is log or refuse, actions is an array', t.target
      using errcode = 'UA005';
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
