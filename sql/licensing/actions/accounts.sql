-- Vendors come and go by hand of the platform itself: no essential action of anybody in them.
select audit.track('licensing.accounts', item_type => 'account', actions => '[]');
