-- One partition of the log: made beside it and then attached, which waits for no writer.
create or replace function audit.add_partition(name text, lower_bound text, upper_bound text)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
as $$
declare
  v_checks text := concat_ws(' and ',
    case when lower_bound <> 'minvalue' then format('occurred_at >= %L', lower_bound) end,
    case when upper_bound <> 'maxvalue' then format('occurred_at < %L', upper_bound) end);
begin
  if to_regclass(format('audit.%I', add_partition.name)) is null then
    execute format('create table audit.%I (like audit.log including all)', add_partition.name);
    execute format('revoke all on audit.%I from public', add_partition.name);
    perform audit.protect(format('audit.%I', add_partition.name)::regclass);
    execute format(
      'create trigger refuse_truncate before truncate on audit.%I '
      'for each statement execute function audit.refuse_change()', add_partition.name);
    execute format('alter table audit.%I enable always trigger refuse_truncate',
      add_partition.name);
    execute format('alter table audit.%I %s', add_partition.name, (
      select string_agg(format('alter column %I set statistics %s', a.attname, a.attstattarget), ', ')
      from pg_attribute as a
      where a.attrelid = 'audit.log'::regclass and a.attnum > 0 and a.attstattarget >= 0));
    -- Rows never change: vacuum has only to freeze them, once, as they come.
    execute format(
      'alter table audit.%I set (autovacuum_vacuum_insert_scale_factor = 0, '
      'autovacuum_vacuum_insert_threshold = 500000, autovacuum_freeze_min_age = 0)',
      add_partition.name);
    -- A time without end fits no partition that ends; only the catch-alls can meet one.
    if lower_bound = 'minvalue' or upper_bound = 'maxvalue' then
      execute format(
        'alter table audit.%I add constraint finite_check check (isfinite(occurred_at))',
        add_partition.name);
    end if;
  end if;
  -- The check spares ATTACH the scan of the rows; it has then done its work.
  execute format('alter table audit.%I add constraint bounds_check check (%s)',
    add_partition.name, v_checks);
  execute format('alter table audit.log attach partition audit.%I for values from (%s) to (%s)',
    add_partition.name,
    case when lower_bound = 'minvalue' then lower_bound else quote_literal(lower_bound) end,
    case when upper_bound = 'maxvalue' then upper_bound else quote_literal(upper_bound) end);
  execute format('alter table audit.%I drop constraint bounds_check', add_partition.name);
end;
$$;

revoke all on function audit.add_partition(text, text, text) from public;

comment on function audit.add_partition(text, text, text) is
  'Creates a partition of the log, or takes a detached one, and attaches it between two bounds.';
