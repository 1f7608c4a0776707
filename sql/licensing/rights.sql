-- Readers of the log may read the pages of the platform's items too.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['audit_reader', 'audit_exporter'] loop
    if to_regrole(v_role) is not null then
      execute format('grant usage on schema licensing to %I', v_role);
      execute format('grant select on licensing.license_log, licensing.order_log, '
        'licensing.customer_log, licensing.product_log to %I', v_role);
    end if;
  end loop;
end;
$$;
