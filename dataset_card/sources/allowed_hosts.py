"""Which hosts requests may go to: named ones, or any public one, but never this machine or its network (SSRF)."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx2

from pictures import RefusedError


class ForbiddenAddressError(RefusedError):
    """An address that must not be requested.

    Args:
        detail: The address.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("address not allowed", detail)


@dataclass(frozen=True)
class AllowedHosts:
    """The hosts that requests and redirects may go to.

    Attributes:
        hosts: Always allowed: "host", or "host:port" where the port is not the default of the scheme.
        any_public: Whether any other host is allowed as well, provided that all its addresses are public.
    """

    hosts: frozenset[str]
    any_public: bool = False

    def check(self, url: httpx2.URL) -> None:
        """Checks a URL before it is requested.

        Raises:
            ForbiddenAddressError: The scheme is not http or https, the host is not allowed, or it has an address of
                this machine or of a private network.
            ConnectError: The host name could not be resolved.
        """
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise ForbiddenAddressError(str(url))
        if netloc(url) in self.hosts:
            return
        if not self.any_public:
            raise ForbiddenAddressError(url.host)
        for address in _resolve(url.host):
            if not _is_public(address):
                raise ForbiddenAddressError(f"{url.host} is {address}")

    def check_peer(self, response: httpx2.Response) -> None:
        """Checks the address that a response came from, before its body is read.

        A host name may resolve to another address a moment after `check` (DNS rebinding).

        Raises:
            ForbiddenAddressError: The address is not public.
        """
        if not self.any_public or netloc(response.url) in self.hosts or _is_proxied(response.url.host):
            return
        address = response.extensions["network_stream"].get_extra_info("server_addr")[0]
        if not _is_public(address):
            raise ForbiddenAddressError(f"{response.url.host} is {address}")


def netloc(url: httpx2.URL) -> str:
    """Returns the host of a URL, with the port where it is not the default of the scheme."""
    return url.netloc.decode("ascii")


def _resolve(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        # Legacy notations that connect all the same: 2130706433 and 0x7f.1 are 127.0.0.1.
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError:
        pass
    if _is_proxied(host):
        # The proxy resolves names itself.
        return ["127.0.0.1"] if host == "localhost" or host.endswith(".localhost") else []
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise httpx2.ConnectError("host name not found") from None


def _is_proxied(host: str) -> bool:
    return not {"http", "https", "all"}.isdisjoint(getproxies()) and not proxy_bypass(host)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    # ::ffff:127.0.0.1 is 127.0.0.1.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global and not address.is_multicast
