-- The column list of the trigger for UPDATE: statements that name none of these pass for free.
create or replace function audit.update_list(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select r.columns from audit.rules_of(t, 'update') as r)
  select case
    -- A BEFORE trigger may change columns that the statement does not name; and where no event
    -- trigger follows DDL, a column added since is not in the list. There every UPDATE is looked at.
    when r.has_before_update or not audit.follows_ddl() then ''
    else coalesce(' of ' || (
      select string_agg(quote_ident(a.name), ', ' order by a.number)
      from audit.columns_of(t.target) as a
      where a.name <> all (t.operational) and exists (
        select from known as u
        where u.columns is null or a.name = any (u.columns))), '')
    end
  from audit.table_trait(t.target) as r
$$;

revoke all on function audit.update_list(audit.tracked) from public;

comment on function audit.update_list(audit.tracked) is
  'The column list of the trigger for UPDATE; empty where every UPDATE must be looked at.';

