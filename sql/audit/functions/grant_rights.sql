-- Rights of the three roles, as far as they exist: run at install and after a DBA created them.
create or replace function audit.grant_rights()
  returns setof text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_relation regclass;
begin
  for v_relation in select p.relid from pg_partition_tree('audit.log') as p order by p.level desc
  loop
    perform audit.protect(v_relation);
  end loop;

  perform audit.protect('audit.presence');

  if to_regrole('audit_reader') is not null then
    grant select on audit.log, audit.action, audit.tracked, audit.events, audit.changes,
      audit.actions, audit.era, audit.closed_partition, audit.presence to audit_reader;
    grant execute on function audit.item_log(text, text, text),
      audit.tree_log(text, text, text), audit.describe_rule(jsonb)
      to audit_reader;
  end if;
  if to_regrole('audit_exporter') is not null then
    grant select on audit.log, audit.action, audit.tracked, audit.events, audit.changes,
      audit.actions, audit.era, audit.closed_partition, audit.presence to audit_exporter;
    grant execute on function audit.item_log(text, text, text),
      audit.tree_log(text, text, text), audit.describe_rule(jsonb),
      audit.record_export(jsonb) to audit_exporter;
  end if;
  if to_regrole('audit_maintainer') is not null then
    grant execute on function audit.maintain(interval), audit.check(interval), audit.partition_list()
      to audit_maintainer;
    grant select on audit.option, audit.closed_partition to audit_maintainer;
  end if;

  return query
    select format('create role %I nologin;', r.name)
    from unnest(array['audit_reader', 'audit_exporter', 'audit_maintainer']) as r (name)
    where to_regrole(r.name) is null;
  if found then
    return next 'select audit.grant_rights();';
  end if;
end;
$$;

revoke all on function audit.grant_rights() from public;

comment on function audit.grant_rights() is
  'Gives the roles of the log their rights; returns what a DBA has to run where one is missing.';
