"""Which addresses may be asked: the ones we name, or any that are public, and never this machine or its network."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx2

from pictures.refused import RefusedError

FORBIDDEN = "address not allowed"


@dataclass(frozen=True)
class Door:
    """Lets requests pass to some addresses only; redirects have to pass it as well.

    Attributes:
        hosts: Always allowed, each as in an address: "host", or "host:port" where the port is no usual one.
        any_public: Whether any other host passes, too, as long as all its addresses are public.
    """

    hosts: frozenset[str]
    any_public: bool = False

    def check(self, url: httpx2.URL) -> None:
        """Refuses an address before it is asked.

        Raises:
            RefusedError: Another scheme than http or https, a host that is not allowed, or an address of this
                machine or of the network round it.
        """
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise RefusedError(FORBIDDEN, str(url))
        if netloc_of(url) in self.hosts:
            return
        if not self.any_public:
            raise RefusedError(FORBIDDEN, url.host)
        for address in _addresses_of(url.host):
            if not _is_public(address):
                raise RefusedError(FORBIDDEN, f"{url.host} is {address}")

    def check_peer(self, response: httpx2.Response) -> None:
        """Refuses an answer that comes from a private address, before its body is read.

        A name may mean another address a moment after `check` asked for it.

        Raises:
            RefusedError: As said.
        """
        if not self.any_public or netloc_of(response.url) in self.hosts or _is_proxied(response.url.host):
            return
        address = response.extensions["network_stream"].get_extra_info("server_addr")[0]
        if not _is_public(address):
            raise RefusedError(FORBIDDEN, f"{response.url.host} is {address}")


def netloc_of(url: httpx2.URL) -> str:
    """Returns the host of an address, with the port where it is no usual one."""
    return url.netloc.decode("ascii")


def _addresses_of(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        # Old ways to write one, which connect all the same: 2130706433 and 0x7f.1 are 127.0.0.1.
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError:
        pass
    if _is_proxied(host):
        # Names are the proxy's to look up.
        return ["127.0.0.1"] if host == "localhost" or host.endswith(".localhost") else []
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise RefusedError("server not found", host) from None


def _is_proxied(host: str) -> bool:
    return not {"http", "https", "all"}.isdisjoint(getproxies()) and not proxy_bypass(host)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    # ::ffff:127.0.0.1 is 127.0.0.1 in another coat.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global and not address.is_multicast
