"""What is known of a request: whose headers are believed, and what of them the log can hold."""

import doctest
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditdb import actor, current_actor
from auditdb._actor import asgi_middleware, web_request, wsgi_middleware
from auditdb._actor.scope import request_scope

GENERATED = re.compile(r"[0-9a-f]{32}")


def known(
    peer: str | None = "192.0.2.1",
    headers: Mapping[str, str] | None = None,
    *trusted: str,
    request_id_header: str = "x-request-id",
) -> web_request.Known:
    return web_request.reader(trusted, request_id_header).read(peer, (headers or {}).get)


def ip(peer: str | None, forwarded: str, *trusted: str) -> str | None:
    return known(peer, {"x-forwarded-for": forwarded}, *trusted).get("ip")


# The address of the client.


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        (None, None),
        ("", None),
        ("testclient", None),
    ],
)
def test_the_peer_is_the_client(peer: str | None, found: str | None) -> None:
    assert known(peer).get("ip") == found


def test_a_forged_header_is_ignored() -> None:
    assert ip("192.0.2.1", "203.0.113.9") == "192.0.2.1"
    assert ip("192.0.2.1", "203.0.113.9", "10.0.0.0/8", "unix") == "192.0.2.1"
    assert ip("testclient", "203.0.113.9", "unix", "0.0.0.0/0", "::/0") is None


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.66, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("198.51.100.66,203.0.113.9,10.1.2.3,10.0.0.1", "203.0.113.9"),
        ("10.9.9.9, 10.1.2.3", "10.9.9.9"),  # all of them trusted: the first of the way
        ("", "10.0.0.1"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9, 10.1.2.3:80", "203.0.113.9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("2001:DB8::9", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:1, ::ffff:10.1.2.3", "203.0.113.9"),
        ("fe80::1%<b>\x00", "fe80::1"),
        ("203.0.113.9, unknown, 10.1.2.3", "10.1.2.3"),  # what ends the way, ends it
        ("203.0.113.9, , 10.1.2.3", "10.1.2.3"),
        ("203.0.113.9,", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("203.0.113.9:port", "10.0.0.1"),
        ("203.0.113.9:\u0661", "10.0.0.1"),
        ("1.2.3", "10.0.0.1"),
        ("[203.0.113", "10.0.0.1"),
        ("[]:80", "10.0.0.1"),
        ("999.1.1.1", "10.0.0.1"),
        ("01.2.3.4", "10.0.0.1"),
    ],
)
def test_trusted_proxies_say_who_the_client_is(forwarded: str, found: str) -> None:
    assert ip("10.0.0.1", forwarded, "10.0.0.0/8") == found


def test_a_proxy_may_be_behind_a_unix_socket() -> None:
    assert ip(None, "203.0.113.9", "unix") == "203.0.113.9"
    assert ip("", "203.0.113.9", "unix") == "203.0.113.9"
    assert ip(None, "unknown", "unix") is None
    assert ip(None, "203.0.113.9", "0.0.0.0/0") is None
    assert ip(None, "203.0.113.9, 10.1.2.3", "unix", "10.1.2.3") == "203.0.113.9"


@pytest.mark.parametrize(
    ("entry", "peer", "is_trusted"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.0/104", "10.200.0.1", True),
        ("::ffff:10.0.0.0/104", "11.0.0.1", False),
        ("fd00::/8", "fd12::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("::/0", "10.0.0.1", False),
        ("0.0.0.0/0", "2001:db8::1", False),
    ],
)
def test_a_proxy_is_an_address_or_in_a_network(entry: str, peer: str, is_trusted: bool) -> None:
    assert (ip(peer, "203.0.113.9", entry) == "203.0.113.9") == is_trusted


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "proxy.example", "*", "", "10.0.0.0/33", "Unix"])
def test_a_wrong_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"trusted_proxies has {entry!r}: ")):
        web_request.reader(["10.0.0.0/8", entry], "x-request-id")


def test_a_number_is_no_proxy() -> None:
    with pytest.raises(ValueError, match="trusted_proxies has '1'"):
        web_request.reader([1], "x-request-id")  # type: ignore[list-item]


def test_networks_of_the_standard_library_are_entries() -> None:
    networks = web_request.reader([ip_network("10.0.0.0/8")], "x").networks  # type: ignore[list-item]
    assert networks == (ip_network("10.0.0.0/8"),)


def test_one_text_is_no_list() -> None:
    with pytest.raises(TypeError, match=re.escape("trusted_proxies is the text '10.0.0.1'")):
        web_request.reader("10.0.0.1", "x-request-id")


ADDRESSES = st.ip_addresses()
PROXIES = st.sampled_from(["10.0.0.1", "10.255.0.1", "fd00::1", "::ffff:10.0.0.7"])
TRUSTED = ("10.0.0.0/8", "fd00::/8")


def is_trusted(address: IPv4Address | IPv6Address) -> bool:
    return any(address in ip_network(network) for network in TRUSTED)


@given(
    st.text(),
    ADDRESSES.filter(lambda a: not is_trusted(getattr(a, "ipv4_mapped", None) or a)),
    st.lists(PROXIES, max_size=4),
    PROXIES,
)
def test_what_the_client_sends_never_changes_what_is_found(
    forged: str, client: IPv4Address | IPv6Address, proxies: list[str], peer: str
) -> None:
    forwarded = ",".join([forged, str(client), *proxies])
    expected = getattr(client, "ipv4_mapped", None) or client
    found = ip(peer, forwarded, *TRUSTED)
    assert found is not None
    assert ip_address(found) == expected


# The id of the request.


@pytest.mark.parametrize("given_id", ["a", "7f3a-42", "!~", "x" * 128])
def test_a_trusted_proxy_names_the_request(given_id: str) -> None:
    assert known("10.0.0.1", {"x-request-id": given_id}, "10.0.0.1")["request_id"] == given_id


@pytest.mark.parametrize("given_id", ["", "a b", "x" * 129, "a\n", "é", "a\x00", "\x7f", "a, b"])
def test_an_id_that_no_proxy_would_give_is_replaced(given_id: str) -> None:
    found = known("10.0.0.1", {"x-request-id": given_id}, "10.0.0.1")["request_id"]
    assert GENERATED.fullmatch(found)


def test_an_id_from_anybody_else_is_replaced() -> None:
    found = [known(headers={"x-request-id": "a" * 32})["request_id"] for _ in range(3)]
    assert all(GENERATED.fullmatch(each) for each in found)
    assert len({*found, "a" * 32}) == 4


def test_the_header_of_the_id_may_have_another_name() -> None:
    headers = {"x-amzn-trace-id": "Root=1-67891233-abc", "x-request-id": "other"}
    found = known("10.0.0.1", headers, "10.0.0.1", request_id_header="X-Amzn-Trace-Id")
    assert found["request_id"] == "Root=1-67891233-abc"


@pytest.mark.parametrize("name", ["", "x request", "x:", "é", "x\n"])
def test_a_name_that_no_header_has_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"request_id_header is {name!r}")):
        web_request.reader((), name)


# The user agent.


@pytest.mark.parametrize(
    ("given_agent", "found"),
    [
        ("curl/8.5", "curl/8.5"),
        ("a\x00b\x1b[31mc\x7fd\x85e\tf", "ab[31mcdef"),
        ("\xe9t\xe9", "été"),
        ("\ud800x", "x"),
        ("\\u0000", "\\u0000"),
        ("x" * 600, "x" * 512),
        ("\x00" * 600 + "x", "x"),
    ],
)
def test_of_the_user_agent_stays_what_can_be_shown(given_agent: str, found: str) -> None:
    assert known(headers={"user-agent": given_agent})["user_agent"] == found


@pytest.mark.parametrize("headers", [{}, {"user-agent": ""}, {"user-agent": " \x00 "}])
def test_there_may_be_no_user_agent(headers: dict[str, str]) -> None:
    assert known(headers=headers).keys() == {"request_id", "ip"}


# What anybody may send can be logged.


@given(
    st.text() | st.none(),
    st.dictionaries(
        st.sampled_from(["x-request-id", "x-forwarded-for", "user-agent"]),
        st.text(st.characters()) | st.text(st.characters(max_codepoint=255)),
    ),
    st.lists(st.sampled_from(["unix", "0.0.0.0/0", "::/0"])),
)
def test_whatever_is_sent_an_actor_can_hold_it(
    peer: str | None, headers: dict[str, str], trusted: list[str]
) -> None:
    found = known(peer, headers, *trusted)
    with request_scope(None, found), actor("platform_user", 42):
        who = current_actor()
        assert who is not None
        assert json.loads(who.context_json or "") == found
    assert 1 <= len(found["request_id"]) <= 128
    assert len(found.get("user_agent", "")) <= 512
    assert "ip" not in found or str(ip_address(found["ip"])) == found["ip"]


def test_no_framework_is_imported() -> None:
    program = "import sys, auditdb, auditdb.asgi, auditdb.wsgi; print(*sys.modules)"
    run = [sys.executable, "-c", program]
    ran = subprocess.run(run, capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "auditdb.wsgi" in loaded
    assert not {"starlette", "fastapi", "flask", "werkzeug", "uvicorn", "anyio"} & loaded


@pytest.mark.parametrize("module", [asgi_middleware, wsgi_middleware])
def test_the_examples_run(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.failed == 0
    assert results.attempted >= 4
