-- Declared expressions are taken apart here and nowhere else: a token is a string, the name of a
-- type with the :: or AS before it, a chain of identifiers, a number or else one character. Names
-- that an opening bracket follows are functions.
create or replace function audit.tokens_of(expression text)
  returns table (number bigint, token text, name text)
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
begin
  return query
    select m.number, concat(m.match[1], m.match[2]),
      case when m.match[2] is null then audit.fold_name(m.match[1]) end
    from regexp_matches(tokens_of.expression,
      '([eE]''(?:[^''\\]|\\.|'''')*''|''(?:[^'']|'''')*'''
      '|(?:::|\m[aA][sS]\M)\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)'
      '(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*'
      '(?:\s+(?:\mprecision|\mvarying|\mwithout\s+time\s+zone|\mwith\s+time\s+zone)\M)?'
      '|(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*'
      '|\d[\w.]*|.)(\s*\()?', 'g') with ordinality as m (match, number);
end;
$$;

revoke all on function audit.tokens_of(text) from public;

comment on function audit.tokens_of(text) is
  'The tokens of an SQL expression in order; a name is that of a column, as audit.fold_name() '
  'spells it, and null for other tokens.';
