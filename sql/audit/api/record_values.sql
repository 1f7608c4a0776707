-- The values in a record of the log. Made anew for each layout; here for none, since views name it.
do $$
begin
  execute audit.layout_dispatcher('values');
end;
$$;

-- Whoever was granted a view of the log must be able to read it.
grant execute on function audit.record_values(integer, text) to public;

comment on function audit.record_values(integer, text) is
  'Public. The values in a record of the log as text, in the order of the columns of its layout.';
