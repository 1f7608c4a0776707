-- What the expressions of a declaration name and is not there: a column, or a function of the log's owner
-- that they were bound to.
create or replace function audit.problem_of_names(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (
    select audit.name_types(t) as types
  ), expression as (
    select e.text
    from unnest(array[t.item_id, t.item_label, t.account, t.parent_id, t.part_name]
      || array(select r ->> 'when' from jsonb_array_elements(t.actions) as r)) as e (text)
    where e.text is not null
  )
  select coalesce(
    (select format('column %s does not exist', c ->> 'name')
     from jsonb_array_elements(t.columns) as c
     cross join known as k
     where c ->> 'alias' is null and not k.types ? (c ->> 'name')
       and exists (select from expression as e cross join lateral audit.names_in(e.text) as n (name)
                   where n.name in (c ->> 'name', 'old.' || (c ->> 'name'), 'new.' || (c ->> 'name')))
     limit 1),
    (select format('function audit.%I is gone', b.name)
     from audit.bound_functions(t) as b
     where t.compiled -> 'functions' ? b.name and to_regproc(format('audit.%I', b.name)) is null
     limit 1))
$$;

revoke all on function audit.problem_of_names(audit.tracked) from public;

comment on function audit.problem_of_names(audit.tracked) is
  'What an expression of a declaration needs and is gone; null where nothing is.';
