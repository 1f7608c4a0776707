-- The two functions by which a baseline reads a table. They have the rights of the table's owner,
-- so that whatever the table makes PostgreSQL run has those and no others. The first locks rows,
-- one after the other and none that somebody holds: from then on until the end of the transaction
-- they stay as they are, and who wants to change one waits so long. The second shows what is
-- locked.
create or replace function audit.baseline_reader(t audit.tracked)
  returns table (name text, ddl text)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_source constant text := format(' from %s as r where ', audit.name_of(t.target));
  v_key text;
  v_order text;
  v_newest text;
  v_columns text;
  v_after text;
  v_up_to text;
  v_among text;
  v_settings text;
begin
  select
      format('array[%s]::text',
        string_agg(format('concat(%s)', k.reference), ', ' order by k.place)),
      string_agg(k.reference, ', ' order by k.place),
      string_agg(k.reference || ' desc', ', ' order by k.place),
      case when count(distinct k.schema) = 1 and count(k.schema) = count(*) then format(
        case count(*) when 1 then '%s %s %s' else '(%s) %s (%s)' end,
        replace(string_agg(k.reference, ', ' order by k.place), '%', '%%'),
        replace(min(k.above), '%', '%%'),
        string_agg(format('%%%s$L::%s', k.place, replace(k.type, '%', '%%')), ', '
          order by k.place))
      end,
      replace(min(k.up_to), '%', '%%'),
      case when not bool_or(k.is_array and k.place = 1)
        and count(distinct k.schema) = 1 and count(k.schema) = count(*)
        then string_agg(replace(format('%s %s any ', k.reference, k.same), '%', '%%')
          || format('(%%L::%s[])', replace(k.type, '%', '%%')), '') filter (where k.place = 1) end
    into v_key, v_order, v_newest, v_after, v_up_to, v_among
    from audit.baseline_key_columns(t) as k;
  v_columns := v_order;
  if v_after is not null then
    v_up_to := replace(v_after,
      replace((select min(k.above) from audit.baseline_key_columns(t) as k), '%', '%%'), v_up_to);
  else
    -- A key whose columns have no operators in common is gone through by its text.
    v_columns := 'r.*';
    v_order := v_key || ' collate "C"';
    v_newest := v_order || ' desc';
    v_after := replace(v_order, '%', '%%') || ' > (array[' || (
      select string_agg(format('%%%s$L', k.place), ', ' order by k.place)
      from audit.baseline_key_columns(t) as k) || ']::text[]::text)';
    v_up_to := format('not (%s)', v_after);
  end if;
  select string_agg(distinct E'\n  set ' || s, '') into v_settings
    from unnest(audit.settings_for(t, true)) as s;
  v_settings := format(E'\n  language plpgsql\n  security definer'
    '\n  set search_path = pg_catalog, pg_temp\n  set enable_seqscan = off\n  set jit = off'
    '\n  set row_security = off\n  set standard_conforming_strings = on%s', v_settings);
  return query values (t.slug || '_baseline_lock', format(
'create or replace function audit.%I(
  after text, size integer, keys text[], age integer, out up_to text, out locked text[],
  out missed text[], out changed bigint
)%s
as %L', t.slug || '_baseline_lock', v_settings, format(
'
-- Compiled from the declaration of %s (audit.tracked) by audit.baseline().
declare
  v_key constant text := %L;
  v_source constant text := %L;
  v_where text := ''true'';
  v_count bigint;
begin
  locked := ''{}'';
  missed := ''{}'';
  changed := 0;
  if keys is null and age is not null then
    execute format(''select coalesce(array_agg(%%s), ''''{}'''')%%s pg_catalog.age(r.xmin) <= %%s'',
      v_key, v_source, age) into missed;
    return;
  elsif keys is not null then
    v_where := %s || format(''%%s = any (%%L::text[])'', v_key, keys);
  else
    if after is not null then
      v_where := format(%L, variadic after::text[]);
    end if;
    execute format(
      ''select %%s from (select %%s%%s %%s order by %%s limit %%s) as r order by %%s limit 1'',
      v_key, %L, v_source, v_where, %L, size, %L) into up_to;
    if up_to is null then
      return;
    end if;
    v_where := v_where || '' and '' || format(%L, variadic up_to::text[]);
  end if;
  execute format(''select coalesce(array_agg(s.k), ''''{}''''), count(*) filter (where s.n)
    from (select %%s as k, %%s as n%%s %%s for share of r skip locked) as s'',
    v_key, coalesce(''pg_catalog.age(r.xmin) <= '' || age, ''false''), v_source, v_where)
    into locked, changed;
  execute format(''select count(*)%%s %%s'', v_source, v_where) into v_count;
  if v_count > cardinality(locked) then
    execute format(''select array(select %%s%%s %%s and %%s <> all ($1))'',
      v_key, v_source, v_where, v_key) into missed using locked;
  end if;
end;
',
      translate(t.target::text, E'\n\r', '  '), v_key, v_source,
      case when v_among is null then quote_literal('') else format(
        'format(%L, array(select (_audit_k::text[])[1] from unnest(keys) as _audit_u (_audit_k)))',
        v_among || ' and ')
        end,
      v_after, v_columns, v_order, v_newest, v_up_to)));
  return query values (t.slug || '_baseline_rows', format(
'create or replace function audit.%I(text, text, text[])
  returns table (%s)%s
as %L', t.slug || '_baseline_rows',
    (select string_agg(format('%s %s', c.field, audit.builtin_name(c.type)), ', ' order by c.number)
     from audit.columns_of(t.target) as c), v_settings, format(
'
-- Compiled from the declaration of %s (audit.tracked) by audit.baseline().
#variable_conflict use_column
declare
  v_where text := %s;
begin
  if $2 is not null then
    v_where := format(%L, variadic $2::text[]) || '' and '';
    if $1 is not null then
      v_where := v_where || format(%L, variadic $1::text[]) || '' and '';
    end if;
  end if;
  return query execute %L || v_where || %L using $3;
end;
',
      translate(t.target::text, E'\n\r', '  '),
      case when v_among is null then quote_literal('') else format(
        'format(%L, array(select (_audit_k::text[])[1] from unnest($3) as _audit_u (_audit_k)))',
        v_among || ' and ') end,
      v_up_to, v_after,
      'select ' || (
        select string_agg(case when audit.is_builtin(c.declared_type) then 'r.' || c.ident
          else audit.presented(c.declared_type, 'r.' || c.ident) end, ', ' order by c.number)
        from audit.columns_of(t.target) as c) || v_source,
      v_key || ' = any ($1)')));
end;
$$;

revoke all on function audit.baseline_reader(audit.tracked) from public;

comment on function audit.baseline_reader(audit.tracked) is
  'The functions, by name, that lock and show rows of a tracked table for its baseline.';
