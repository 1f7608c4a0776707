"""What the log keeps of a request: its id, the client's address behind proxies, the user agent."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from auditdb._actor.scope import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Known: TypeAlias = "Mapping[str, str]"

KEY = "auditdb.request"
"""Where the scope (ASGI) or environ (WSGI) holds what the middleware knows of the request."""

_USER_AGENT_LENGTH = 512
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
_WITH_PORT = re.compile(r"\[(?P<v6>[^][]*)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class RequestReader:
    """Reads what is known of a request, believing the headers of trusted proxies only."""

    networks: tuple[Network, ...]
    trusts_unix: bool
    request_id_header: str
    """In lower case."""

    def read(self, peer: str | None, header: Callable[[str], str | None]) -> Known:
        """Return `request_id`, and `ip` and `user_agent` where they are known.

        `peer` is the address at the other end of the connection, None for a Unix socket; `header`
        returns the value of a header by its name in lower case, its lines joined by commas.
        """
        address = _address(peer or "")
        is_trusted = self.trusts_unix if not peer else self._trusts(address)
        found = {"request_id": self._request_id(header if is_trusted else None)}
        if is_trusted:
            address = self._client(address, header("x-forwarded-for") or "")
        if address is not None:
            found["ip"] = str(address)
        agent = _printable(header("user-agent") or "")[:_USER_AGENT_LENGTH]
        if agent:
            found["user_agent"] = agent
        return MappingProxyType(found)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks)

    def _client(self, peer: Address | None, forwarded: str) -> Address | None:
        """Return the first address from the right that is no trusted proxy's, else the leftmost.

        What is no address ends the way: whatever is to its left, nobody trusted has written.
        """
        client = peer
        for entry in reversed(forwarded.split(",")):
            address = _address(_without_port(entry.strip()))
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def _request_id(self, header: Callable[[str], str | None] | None) -> str:
        given = (header and header(self.request_id_header)) or ""
        return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def reader(trusted_proxies: Iterable[str], request_id_header: str) -> RequestReader:
    """Return the reader for these settings of a middleware.

    Raises ValueError, naming the entry, for one that is no address, network or "unix", and for a
    name that no header has; TypeError where the proxies are one text.
    """
    if isinstance(trusted_proxies, str):
        raise TypeError(f"trusted_proxies is the text {trusted_proxies!r}: give a list of texts.")
    entries = [str(entry) for entry in trusted_proxies]
    if not _HEADER_NAME.fullmatch(request_id_header):
        raise ValueError(f"request_id_header is {request_id_header!r}, which is no header's name.")
    return RequestReader(
        networks=tuple(_network(entry) for entry in entries if entry != "unix"),
        trusts_unix="unix" in entries,
        request_id_header=request_id_header.lower(),
    )


def checked(who: object) -> Actor | None:
    """Return what the application's function for the actor returned; TypeError if it is none."""
    if who is None or isinstance(who, Actor):
        return who
    raise TypeError(
        f"The function for the actor returned a {type(who).__name__}: return an auditdb.Actor, or "
        "None where nobody is known."
    )


def _network(entry: str) -> Network:
    try:
        network = ip_network(entry)
    except ValueError as error:
        raise ValueError(
            f"trusted_proxies has {entry!r}: {error}. Give addresses such as 10.0.0.7, networks "
            'such as 10.0.0.0/8 or fd00::/8, or "unix" for Unix sockets.'
        ) from error
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        return network if mapped is None else IPv4Network((mapped, network.prefixlen - 96))
    return network


def _address(text: str) -> Address | None:
    """Return the address in its one form: IPv4 where it is mapped into IPv6, and without a zone."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _without_port(entry: str) -> str:
    found = _WITH_PORT.fullmatch(entry)
    return (found["v6"] or found["v4"] or "") if found else entry


def _printable(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs")).strip()
