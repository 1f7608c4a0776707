-- A view over the log says of a column what the log says of it.
create or replace function audit.copy_comments(source regclass, target regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_column record;
begin
  for v_column in
    select t.attname as name, col_description(s.attrelid, s.attnum) as description
    from pg_attribute as s
    join pg_attribute as t on t.attrelid = copy_comments.target and t.attname = s.attname
    where s.attrelid = copy_comments.source and s.attnum > 0 and not s.attisdropped
      and col_description(s.attrelid, s.attnum) is not null
  loop
    execute format('comment on column %s.%I is %L', target, v_column.name, v_column.description);
  end loop;
end;
$$;

revoke all on function audit.copy_comments(regclass, regclass) from public;

comment on function audit.copy_comments(regclass, regclass) is
  'Public. Gives the columns of a view the comments of the columns of the same name elsewhere.';
