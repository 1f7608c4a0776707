-- What a record of the log stands for, printed: no jsonb is made on the way, which is most of what
-- reading a whole log costs. Made anew for each layout.
do $$
begin
  execute audit.layout_dispatcher('text');
end;
$$;

-- Whoever was granted the log must be able to read it.
grant execute on function audit.record_text(integer, text, boolean) to public;

comment on function audit.record_text(integer, text, boolean) is
  'Public. What a record of the log stands for, as text: audit.record_changes(), printed.';
