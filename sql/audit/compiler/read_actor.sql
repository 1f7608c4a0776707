-- The actor of the transaction: one setting, whose fields are parted by U+001F. The first one is a
-- stamp of the transaction, so that a setting of the session names nobody in a later one. What
-- audit.set_actor() would refuse counts as no actor, as a whole; that stands for the login role.
-- audit.actor_now() reads by the same rules. A context that was checked has a blank before it, or
-- two where more follows: the others need a function that catches errors. An expression costs more
-- to prepare in each transaction than to evaluate: so one question leads to all that is rare, and
-- where no actor was named one is asked.
create or replace function audit.read_actor()
  returns text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select
E'  if split_part(v_actor, chr(31), 1) = extract(epoch from current_timestamp)::text then
    v_actor_type := split_part(v_actor, chr(31), 2);
    v_actor_id := split_part(v_actor, chr(31), 3);
    v_actor_label := nullif(split_part(v_actor, chr(31), 4), '''');
    if split_part(v_actor, chr(31), 5) <> ''''
      or v_actor_id = '''' or v_actor_type in ('''', ''database'')
    then
      if v_actor_id = '''' or v_actor_type in ('''', ''database'') then
        v_actor_type := ''database'';
        v_actor_id := session_user;
        v_actor_label := null;
      elsif split_part(v_actor, chr(31), 5) like '' {%'' then
        v_context := split_part(v_actor, chr(31), 5)::jsonb;
      else
        v_context := case when split_part(v_actor, chr(31), 5) = ''  null'' then null
          when split_part(v_actor, chr(31), 5) like ''  {%'' then split_part(v_actor, chr(31), 5)::jsonb
          else audit.context_of(split_part(v_actor, chr(31), 5)) end;
        if split_part(v_actor, chr(31), 6) <> all (''{"",database}'')
          and split_part(v_actor, chr(31), 7) <> ''''
        then
          v_on_behalf_of_type := split_part(v_actor, chr(31), 6);
          v_on_behalf_of_id := split_part(v_actor, chr(31), 7);
          v_on_behalf_of_label := nullif(split_part(v_actor, chr(31), 8), '''');
        end if;
      end if;
    end if;
  else
    v_actor_type := ''database'';
    v_actor_id := session_user;
  end if;\n'
$$;

revoke all on function audit.read_actor() from public;

comment on function audit.read_actor() is 'Statements that read the actor of the transaction.';
