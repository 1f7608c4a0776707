-- Whether closed partitions hold as many rows of each account as they did when they were closed. It
-- reads them whole, so audit.check() leaves it out, and auditdb check --thorough asks.
create or replace function audit.check_counts()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set standard_conforming_strings = on
as $$
declare
  v_partition text;
  v_accounts bigint;
begin
  for v_partition in
    select c.partition
    from audit.closed_partition as c
    join audit.partition_list() as l on l.partition = c.partition
    order by c.lower_bound
  loop
    execute format(
      'select count(*) from (select l.account_id, count(*) as rows from audit.%1$I as l group by 1) as l '
      'full join (select p.account_id, p.rows from audit.presence as p where p.partition = %1$L '
      'and p.item_type = '''' and p.item_id = '''') as p on p.account_id = l.account_id '
      'where p.rows is distinct from l.rows', v_partition)
      into v_accounts;
    if v_accounts > 0 then
      return query select 'summary_wrong', 'error', format('audit.%I', v_partition),
        format('Of %s accounts it has not as many rows as it had when it was closed: rows are gone or '
          'came past its trigger, or its summary was changed.', v_accounts),
        format('delete from audit.closed_partition where partition = %L; -- compare it with an '
          'export; then: auditdb maintain', v_partition);
    end if;
  end loop;
end;
$$;

revoke all on function audit.check_counts() from public;

comment on function audit.check_counts() is
  'Findings: closed partitions with more rows or fewer than they were closed with.';
