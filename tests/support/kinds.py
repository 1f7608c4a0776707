"""Every kind of column that PostgreSQL has, with two values each; null where one is enough."""

from typing import NamedTuple

# What kinds are made of that are not PostgreSQL's own.
TYPES = """
create type public.mood as enum ('calm', 'wild');
create domain public.moment as timestamptz;
create domain public.raw as bytea;
create domain public.raws as bytea[];
create domain public.when_ as tstzrange;
create type public.pair as (x double precision, at timestamptz, span interval, raw bytea);
create type public.nested as (one public.pair, mood public.mood, many public.pair[]);
create type public.span as range (subtype = float8, multirange_type_name = public.span_set);
"""

# Types of PostgreSQL's own that no column can have a value of.
VALUELESS = {
    *("gtsvector", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies"),
    *("pg_mcv_list", "pg_ndistinct", "pg_node_tree"),
}


class Kind(NamedTuple):
    """A type of column, and two values of it, as text."""

    type: str
    first: str
    second: str | None


KINDS = (
    Kind("boolean", "true", "false"),
    Kind("smallint", "1", "2"),
    Kind("integer", "1", "2"),
    Kind("bigint", "9007199254740993", "1"),
    Kind("numeric", "1.10", "1.1"),
    Kind("real", "0.12345678", "1e-30"),
    Kind("double precision", "0.12345678901234568", "NaN"),
    Kind("money", "12.34", "-0.5"),
    Kind("text", "ä€'\\\"\n", "\\x41"),
    Kind("varchar(200)", "a", ""),
    Kind("char(4)", "a", "b"),
    Kind("bytea", "\\x00ff", "\\x5c27"),
    Kind("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None),
    Kind("json", '{"a":  1}', '{"a": 1}'),
    Kind("jsonb", '{"a": 1.50}', "[]"),
    Kind("bit varying", "101", "1"),
    Kind("timestamptz", "2026-11-22 10:00:00.5+02", "infinity"),
    Kind("timestamp", "2026-11-22 10:00:00", "0044-03-15 BC"),
    Kind("date", "2026-02-01", "2026-01-02"),
    Kind("time", "10:00:00", "24:00:00"),
    Kind("timetz", "10:00:00+05:30", "10:00Z"),
    Kind("interval", "1 mon -2 days 03:04:05.6", "-1 year"),
    Kind("tstzrange", "[2026-11-22 10:00+02,)", "empty"),
    Kind("tsrange", "[2026-02-01 10:00,)", "empty"),
    Kind("daterange", "[2026-02-01,2026-03-02)", None),
    Kind("numrange", "[1.10,2)", None),
    Kind("int8multirange", "{[1,2),[5,9)}", "{}"),
    Kind("tstzmultirange", "{[2026-11-22 10:00+02,infinity)}", "{}"),
    Kind("inet", "::1/128", "10.0.0.1"),
    Kind("macaddr", "08:00:2b:01:02:03", None),
    Kind("point", "(0.12345678901234568,1e-30)", "(1,2)"),
    Kind("circle", "<(0.12345678901234568,0.2),0.3>", "<(1,2),3>"),
    Kind("tsvector", "'a':1 'b':2", "'a':1"),
    Kind("pg_lsn", "16/B374D848", "0/0"),
    Kind("regclass", "pg_class", "pg_type"),
    Kind('"char"', "a", "b"),
    Kind("text[]", '{a,NULL,"b,c"}', "{}"),
    Kind("timestamptz[]", "{2026-11-22 10:00+02}", "{}"),
    Kind("interval[]", "{1 day,-00:00:01}", "{}"),
    Kind("bytea[]", '{"\\\\x00ff"}', "{}"),
    Kind("double precision[]", "{0.12345678901234568,NaN}", "{}"),
    Kind("date[]", "{2026-02-01}", "{}"),
    Kind("money[]", "{12.34}", "{}"),
    Kind("tstzrange[]", '{"[2026-11-22 10:00+02,)"}', "{}"),
    Kind("public.mood", "calm", "wild"),
    Kind("public.moment", "2026-11-22 10:00+02", None),
    Kind("public.pair", '(0.12345678901234568,2026-11-22 10:00+02,"1 day","\\\\x00")', "(,,,)"),
    Kind("public.pair[]", "{}", None),
    Kind("xml", '<a b="c">é</a>', "<!-- -->text"),
    Kind("name", "a b", ""),
    Kind("oid", "4294967295", "0"),
    Kind("xid", "3", "4"),
    Kind("cid", "3", "4"),
    Kind("xid8", "18446744073709551615", "4"),
    Kind("tid", "(1,2)", "(4294967295,65535)"),
    Kind("refcursor", "c", "d"),
    Kind("pg_snapshot", "10:20:10,14", "1:1:"),
    Kind("txid_snapshot", "10:20:10,14", "1:1:"),
    Kind("int2vector", "1 2", "3"),
    Kind("oidvector", "1 2", ""),
    Kind("bit(3)", "101", "010"),
    Kind("numeric", "Infinity", "-0.000"),
    Kind("numeric(1000,500)", "1", "NaN"),
    Kind("jsonb", "null", None),
    Kind("jsonb", '""', "null"),
    Kind("json", '"\\u0000"', "null"),
    Kind("text", "null", ""),
    Kind("text", "(,)", "NULL"),
    Kind("line", "{1,-1,0.12345678901234568}", "{0,1,2}"),
    Kind("lseg", "[(1,2),(0.1,1e-30)]", "[(0,0),(1,1)]"),
    Kind("box", "(3,4),(0.12345678901234568,2)", "(1,1),(0,0)"),
    Kind("path", "[(1,2),(0.1,4)]", "((1,2),(3,4))"),
    Kind("polygon", "((1,2),(0.1,4),(5,6))", "((0,0),(1,1))"),
    Kind("cidr", "10.0.0.0/8", "::/0"),
    Kind("macaddr8", "08:00:2b:01:02:03:04:05", None),
    Kind("tsquery", "'a' & !'b':*C", "'it''s'"),
    Kind("jsonpath", '$."a"[*] ? (@ > 1)', "$"),
    Kind("int4range", "[1,5]", "empty"),
    Kind("int8range", "(,9007199254740993]", "(,)"),
    Kind("int4multirange", "{[1,3),[7,8)}", "{}"),
    Kind("nummultirange", "{[1.10,2)}", "{(,)}"),
    Kind("datemultirange", "{[2026-02-01,2026-03-02)}", "{}"),
    Kind("tsmultirange", "{[2026-02-01 10:00,)}", "{}"),
    Kind("timestamptz", "0044-03-15 12:00 UTC BC", "-infinity"),
    Kind("timestamp", "infinity", "4714-11-24 00:00 BC"),
    Kind("date", "infinity", "0044-03-15 BC"),
    Kind("date", "5874897-12-31", "-infinity"),
    Kind("interval", "-178000000 years", "1.000001 s ago"),
    Kind("regproc", "now", "int4in"),
    Kind("regprocedure", "abs(integer)", "now()"),
    Kind("regoper", "pg_catalog.||/", "pg_catalog.|/"),
    Kind("regoperator", "+(integer,integer)", "-(NONE,integer)"),
    Kind("regtype", "timestamp with time zone", "public.pair"),
    Kind("regrole", "pg_monitor", None),
    Kind("regnamespace", "pg_catalog", "audit"),
    Kind("regconfig", "english", "simple"),
    Kind("regdictionary", "english_stem", "simple"),
    Kind("regcollation", '"C"', '"POSIX"'),
    Kind("regclass", "public.given", "audit.log"),
    Kind("regclass[]", "{public.given,pg_class}", "{}"),
    Kind("aclitem", "pg_monitor=r/pg_monitor", None),
    Kind("aclitem[]", "{pg_monitor=rw/pg_monitor}", "{}"),
    Kind("integer[]", "{{1,2},{3,NULL}}", "[0:1]={1,2}"),
    Kind("text[]", '{{a,"b c"},{"","NULL"}}', '{"{}","\\"\\\\"}'),
    Kind("json[]", '{"{\\"a\\":  1}",NULL}', "{}"),
    Kind("jsonb[]", '{"{\\"a\\": 1}","null",NULL}', "{}"),
    Kind("bytea[]", '{{"\\\\x00","\\\\x5c"}}', None),
    Kind("char(4)[]", '{"a   ",b}', "{}"),
    Kind('"char"[]', "{a,b}", "{}"),
    Kind("uuid[]", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "{}"),
    Kind("numrange[]", '{"[1.10,2)",empty}', "{}"),
    Kind("xml[]", '{"<a/>",NULL}', "{}"),
    Kind("timestamp[]", '{"0044-03-15 12:00:00 BC",infinity}', "{}"),
    Kind("real[]", "{0.1,1e-30}", "{NaN}"),
    Kind("point[]", '{"(0.12345678901234568,2)"}', "{}"),
    Kind("public.mood[]", '{"calm","wild"}', "{NULL}"),
    Kind("public.span", "[0.12345678901234568,2)", "empty"),
    Kind("public.span_set", "{[0.12345678901234568,2)}", "{}"),
    Kind("public.raw", "\\x00ff", "\\x5c"),
    Kind("public.raws", '{"\\\\x00ff"}', "{}"),
    Kind("public.when_", '["2026-11-22 10:00:00+02",)', None),
    Kind("public.nested", '("(0.5,,""1 day"",)",wild,"{""(1,,,)""}")', "(,,)"),
)
