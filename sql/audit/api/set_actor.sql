-- Application to transaction: names who is responsible for what follows, and for whom they do it.
create or replace function audit.set_actor(
  actor_type text,
  actor_id text,
  actor_label text default null,
  context jsonb default null,
  on_behalf_of_type text default null,
  on_behalf_of_id text default null,
  on_behalf_of_label text default null
)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_query text := coalesce(current_query(), '');
  v_stack text;
  v_long text;
begin
  -- Fields are parted by a character that names cannot hold (U+001F, unit separator).
  actor_type := translate(actor_type, chr(31), '');
  actor_id := translate(actor_id, chr(31), '');
  actor_label := translate(actor_label, chr(31), '');
  on_behalf_of_type := nullif(translate(on_behalf_of_type, chr(31), ''), '');
  on_behalf_of_id := nullif(translate(on_behalf_of_id, chr(31), ''), '');
  on_behalf_of_label := nullif(translate(on_behalf_of_label, chr(31), ''), '');
  if coalesce(actor_type, '') = '' or coalesce(actor_id, '') = '' then
    raise exception 'an actor needs a type and an id'
      using errcode = 'UA005',
        hint = 'For example: select audit.set_actor(''platform_user'', ''42'', ''ana@example.com'').';
  end if;
  if 'database' in (actor_type, on_behalf_of_type) then
    raise exception 'the actor type database stands for a transaction without an actor'
      using errcode = 'UA005', hint = 'Give the type of the actor a name of its own.';
  end if;
  if num_nulls(on_behalf_of_type, on_behalf_of_id) = 1
    or (on_behalf_of_type is null and on_behalf_of_label is not null)
  then
    raise exception 'whom an actor acts on behalf of needs a type and an id'
      using errcode = 'UA005';
  end if;
  -- Types and ids must fit into an entry of an index.
  select format('%s of %s is longer than %s characters', f.name, f.whose, f.length) into v_long
    from (values
      ('the type', 'an actor', actor_type, 100),
      ('the id', 'an actor', actor_id, 255),
      ('the label', 'an actor', actor_label, 500),
      ('the type', 'whom an actor acts on behalf of', on_behalf_of_type, 100),
      ('the id', 'whom an actor acts on behalf of', on_behalf_of_id, 255),
      ('the label', 'whom an actor acts on behalf of', on_behalf_of_label, 500)
    ) as f (name, whose, value, length)
    where length(f.value) > f.length
    limit 1;
  if found then
    raise exception '%', v_long using errcode = 'UA005';
  end if;
  if context is not null and jsonb_typeof(context) not in ('object', 'null') then
    raise exception 'the context of an actor must be a JSON object, not %', jsonb_typeof(context)
      using errcode = 'UA005';
  end if;

  -- The setting lives as long as the transaction. A statement that is a transaction of its own and
  -- does nothing else would set it for nobody. The server shows that only by the two clocks: they
  -- agree in the first message of a transaction.
  if transaction_timestamp() = statement_timestamp()
    and v_query !~ ';\s*\S'
    and v_query !~* '\m(insert|update|delete|merge|copy|call)\M'
  then
    get diagnostics v_stack = pg_context;
    if v_stack !~ '\n' then
      raise exception 'audit.set_actor() was called outside a transaction'
        using errcode = 'UA006',
          detail = 'The actor holds until the end of the transaction, which is this statement.',
          hint = 'Begin a transaction, set the actor, write, and commit.';
    end if;
  end if;

  -- What audit.read_actor() takes apart.
  perform set_config('audit.actor', concat_ws(chr(31),
    extract(epoch from transaction_timestamp()), actor_type, actor_id, coalesce(actor_label, ''),
    case when on_behalf_of_type is not null then coalesce(context, 'null')
      else nullif(context, 'null') end,
    on_behalf_of_type, on_behalf_of_id, on_behalf_of_label), true);
end;
$$;

grant execute on function audit.set_actor(text, text, text, jsonb, text, text, text) to public;

comment on function audit.set_actor(text, text, text, jsonb, text, text, text) is
  'Public. Names the actor of the current transaction: type, id, label, context such as a request '
  'id, and whom they act on behalf of.';
