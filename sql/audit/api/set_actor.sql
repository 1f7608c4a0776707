-- Application to transaction: names who is responsible for what follows, and for whom they do it.
--
-- It is called as applications call it: ids are texts, numbers or uuids, the context is text, jsonb
-- or json, and all of them may be literals without a type: exactly one of these functions takes a
-- call. It costs more for each that could take it, and for each parameter that it leaves out. So
-- whom it is done for has functions of its own, in which label and context cannot be left out.
create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text default null,
  context text default null
)
  returns boolean
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  -- What audit.read_actor() takes apart, by a character that names cannot hold (U+001F).
  v_setting text collate "C" := concat(extract(epoch from current_timestamp), chr(31),
    actor_type, chr(31), actor_id, chr(31), actor_label);
begin
  -- One question for all that is rare: the first message of a transaction, a name that is missing,
  -- reserved or perhaps too long, separators in names.
  if current_timestamp <> statement_timestamp() and v_setting not like all (array[
    '%' || chr(31) || chr(31) || '%', '%' || chr(31) || 'database' || chr(31) || '%',
    repeat('%' || chr(31), 4) || '%', repeat('_', 120) || '%'])
  then
    if context is null then
      return set_config('audit.actor', v_setting, true) is not null;
    elsif jsonb_typeof(context::jsonb) = 'object' then
      return set_config('audit.actor', concat(v_setting, chr(31), ' ', context), true) is not null;
    end if;
  end if;
  return audit.set_actor(
    actor_type, actor_id::text, actor_label, context, null::text, null::text, null::text);
end;
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context text,
  on_behalf_of_type text,
  on_behalf_of_id text,
  on_behalf_of_label text default null
)
  returns boolean
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_type text collate "C" := translate(actor_type, chr(31), '');
  v_id text collate "C" := translate(actor_id::text, chr(31), '');
  v_label text collate "C" := translate(actor_label, chr(31), '');
  v_for_type text collate "C" :=
    nullif(translate(on_behalf_of_type, chr(31), '') collate "C", '');
  v_for_id text collate "C" :=
    nullif(translate(on_behalf_of_id, chr(31), '') collate "C", '');
  v_for_label text collate "C" :=
    nullif(translate(on_behalf_of_label, chr(31), '') collate "C", '');
  v_context jsonb := nullif(context::jsonb, 'null');
  v_query text;
  v_stack text;
  v_wrong text;
begin
  if coalesce(v_type, '') = '' or coalesce(v_id, '') = '' then
    raise exception 'an actor needs a type and an id'
      using errcode = 'UA005',
        hint = 'For example: select audit.set_actor(''platform_user'', ''42'', ''ana@example.com'').';
  end if;
  if 'database' in (v_type, v_for_type) then
    raise exception 'the actor type database stands for a transaction without an actor'
      using errcode = 'UA005', hint = 'Give the type of the actor a name of its own.';
  end if;
  if num_nulls(v_for_type, v_for_id) = 1
    or (v_for_type is null and v_for_label is not null)
  then
    raise exception 'whom an actor acts on behalf of needs a type and an id'
      using errcode = 'UA005';
  end if;
  -- Types and ids must fit into an entry of an index.
  if octet_length(concat(v_type, v_id, v_label, v_for_type, v_for_id, v_for_label)) > 100 then
    select format('%s of %s is longer than %s characters', f.name, f.whose, f.length) into v_wrong
      from (values
        ('the type', 'an actor', v_type, 100),
        ('the id', 'an actor', v_id, 255),
        ('the label', 'an actor', v_label, 500),
        ('the type', 'whom an actor acts on behalf of', v_for_type, 100),
        ('the id', 'whom an actor acts on behalf of', v_for_id, 255),
        ('the label', 'whom an actor acts on behalf of', v_for_label, 500)
      ) as f (name, whose, value, length)
      where length(f.value) > f.length
      limit 1;
    if found then
      raise exception '%', v_wrong using errcode = 'UA005';
    end if;
  end if;
  if jsonb_typeof(v_context) <> 'object' then
    raise exception 'the context of an actor must be a JSON object, not %', jsonb_typeof(v_context)
      using errcode = 'UA005';
  end if;

  -- The setting lives as long as the transaction. A statement that is a transaction of its own and
  -- does nothing else would set it for nobody. The server shows that only by the two clocks: they
  -- agree in the first message of a transaction.
  if current_timestamp = statement_timestamp() then
    v_query := coalesce(current_query(), '');
    get diagnostics v_stack = pg_context;
    if v_query !~ $re$;\s*\S$re$
      and v_query !~* $re$\m(insert|update|delete|merge|copy|call)\M$re$
      -- Nobody else's code calls it.
      and v_stack !~ $re$\n(?!(PL/pgSQL function audit\.|SQL function ")set_actor\M)$re$
    then
      raise exception 'audit.set_actor() was called outside a transaction'
        using errcode = 'UA006',
          detail = 'The actor holds until the end of the transaction, which is this statement.',
          hint = 'Begin a transaction, set the actor, write, and commit.';
    end if;
  end if;
  return set_config('audit.actor', concat_ws(chr(31),
    extract(epoch from current_timestamp), v_type, v_id, coalesce(v_label, ''),
    case when v_for_type is null then ' ' || v_context::text
      else '  ' || coalesce(v_context, 'null')::text end,
    v_for_type, v_for_id, v_for_label), true) is not null;
end;
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context text,
  on_behalf_of_type text,
  on_behalf_of_id bigint,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4, $5, $6::pg_catalog.text, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context text,
  on_behalf_of_type text,
  on_behalf_of_id uuid,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4, $5, $6::pg_catalog.text, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement,
  on_behalf_of_type text,
  on_behalf_of_id text,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text, $5, $6, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement,
  on_behalf_of_type text,
  on_behalf_of_id bigint,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text, $5, $6::pg_catalog.text, $7)
$$;

create or replace function audit.set_actor(
  actor_type text,
  actor_id anycompatible,
  actor_label text,
  context anyelement,
  on_behalf_of_type text,
  on_behalf_of_id uuid,
  on_behalf_of_label text default null
)
  returns boolean
  language sql
as $$
  select audit.set_actor($1, $2, $3, $4::pg_catalog.text, $5, $6::pg_catalog.text, $7)
$$;

grant execute on function
  audit.set_actor(text, anycompatible, text, text),
  audit.set_actor(text, anycompatible, text, text, text, text, text),
  audit.set_actor(text, anycompatible, text, anyelement),
  audit.set_actor(text, anycompatible, text, text, text, bigint, text),
  audit.set_actor(text, anycompatible, text, text, text, uuid, text),
  audit.set_actor(text, anycompatible, text, anyelement, text, text, text),
  audit.set_actor(text, anycompatible, text, anyelement, text, bigint, text),
  audit.set_actor(text, anycompatible, text, anyelement, text, uuid, text)
  to public;

comment on function audit.set_actor(text, anycompatible, text, text) is
  'Public. Names the actor of the current transaction: type, id, label, and context such as a '
  'request id.';

comment on function audit.set_actor(text, anycompatible, text, text, text, text, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement) is
  'Public. Names the actor of the current transaction: type, id, label, and context such as a '
  'request id.';

comment on function audit.set_actor(text, anycompatible, text, text, text, bigint, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, text, text, uuid, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement, text, text, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement, text, bigint, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';

comment on function audit.set_actor(text, anycompatible, text, anyelement, text, uuid, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';
