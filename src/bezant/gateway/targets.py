"""Where a webhook may go: no address of the node's own network, whatever a name resolves to.

The name is resolved once, every address it has is checked, and the connection is then made to a
checked address, so that a second answer of the name's server cannot lead elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from bezant.errors import InputError

MAX_URL = 2_048
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """A URL whose host is a checked address, and the name that TLS and HTTP go by."""

    url: str
    host: str
    """What the Host header says, with the port where it is not the usual one."""
    name: str


def check_url(url: str, *, allow_private: bool) -> SplitResult:
    """Return the parts of a URL that may be registered. Raises: InputError ``url_refused``.

    A host written as an address is checked here already; a name when it is resolved.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("it cannot be read") from None
    if len(url) > MAX_URL or not url.isascii() or any(c.isspace() for c in url):
        raise _refused(f"a URL has at most {MAX_URL} ASCII characters and no spaces")
    schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        raise _refused(f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if "@" in parts.netloc or parts.fragment or port == 0:
        raise _refused("it must not carry a user, a fragment or port 0")
    literal = _literal(parts.hostname)
    if literal is not None and not allow_private and not _is_public(literal):
        raise _refused(f"{literal} is not a public address")
    return parts


def resolve_target(url: str, *, allow_private: bool) -> Target:
    """Return a checked place to connect to. Raises: InputError ``url_refused``; OSError if the name
    does not resolve."""
    parts = check_url(url, allow_private=allow_private)
    name = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if not allow_private and not _is_public(address):
            raise _refused(f"{name} resolves to {address}, which is not a public address")
    first = addresses[0]
    place = f"[{first}]" if first.version == 6 else str(first)
    checked = urlunsplit((parts.scheme, f"{place}:{port}", parts.path or "/", parts.query, ""))
    return Target(checked, parts.netloc, name)


def _is_public(address: _Address) -> bool:
    """Return whether an address, and any IPv4 address carried inside it, is reachable by everybody."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return _is_public(carried)
    return address.is_global and not address.is_multicast


def _literal(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refused(why: str) -> InputError:
    return InputError(f"webhooks cannot go to this URL: {why}", code="url_refused", param="url")
