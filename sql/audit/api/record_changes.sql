-- What a record of the log stands for. Made anew for each layout; here for none, since views name it.
do $$
begin
  execute audit.layout_dispatcher('changes');
end;
$$;

-- Whoever was granted a view of the log must be able to read it.
grant execute on function audit.record_changes(integer, text, boolean) to public;

comment on function audit.record_changes(integer, text, boolean) is
  'Public. What a record of the log stands for, as audit.events shows it in changes.';
