-- Before a table is compiled: who reads what for it, and whether they may.
create or replace function audit.settle_readers(t audit.tracked)
  returns audit.tracked
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_columns jsonb := '{}';
  v_is_plain boolean;
begin
  t.account_tables := '{}';
  t.account_reader := null;
  if t.accounts is not null then
    select e.columns, e.is_plain into v_columns, v_is_plain
      from audit.validate_expression(t, 'accounts', t.accounts, null) as e;
    select coalesce(array_agg(e.key::oid::regclass order by e.key), '{}'),
        case when not v_is_plain
            or bool_or(audit.reader_of(e.key::oid::regclass, '{}') = 'audit_lookup')
          then 'audit_lookup'
          when bool_or(audit.reader_of(e.key::oid::regclass, '{}') = 'owner') then 'owner'
          else 'inline' end
      into t.account_tables, t.account_reader
      from jsonb_each(v_columns) as e;
  end if;
  perform audit.grant_reading(t, r.relation, r.columns, r.reader)
    from (
      select l.target, l.columns || l.key_column, l.reader from audit.lookups_of(t) as l
      union all
      select c.target, c.parent_columns, c.reader from audit.cascades_of(t) as c
      union all
      select e.key::oid::regclass, array(
          select n.value from jsonb_array_elements_text(e.value) as n where n.value is not null),
        t.account_reader
      from jsonb_each(v_columns) as e
    ) as r (relation, columns, reader);
  return t;
end;
$$;

revoke all on function audit.settle_readers(audit.tracked) from public;

comment on function audit.settle_readers(audit.tracked) is
  'A declaration with who reads the tables of its accounts; the roles get their rights.';
