"""Host names of the demo: other pages whose names are pointed at this machine are refused."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from dyto.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARDS = ("0.0.0.0", "::", "")
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Addresses:
    """The listening address and the public address of the demo.

    Attributes:
        host: Host to listen on.
        port: Port to listen on.
        public_url: Public address of a proxy in front of the demo, or None.

    Raises:
        ConfigError: The public address is invalid.

    Example:
        >>> here = Addresses("127.0.0.1", 7860)
        >>> here.knows("localhost:7860"), here.knows("elsewhere.example:7860")
        (True, False)
    """

    host: str
    port: int
    public_url: str | None = None

    def __post_init__(self) -> None:
        if self.public_url is not None:
            _public(self.public_url)

    @property
    def local(self) -> str:
        """Address on this machine."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/"

    @property
    def root(self) -> str | None:
        """Public address without a trailing slash."""
        return self.public_url.rstrip("/") if self.public_url else None

    @property
    def prefix(self) -> str:
        """Path of the public address; empty if the page is at the root."""
        return urlsplit(self.root).path if self.root else ""

    @property
    def encrypted(self) -> bool:
        """Whether visitors use HTTPS."""
        return bool(self.root) and urlsplit(self.root).scheme == "https"

    def knows(self, host: str | None) -> bool:
        """Return whether a request for this host is meant for the demo.

        Args:
            host: The header `Host`, or None if it is missing.
        """
        found = _split(host, 80)
        if found is None:
            return False
        if self.root:
            scheme, name, port = _public(self.root)
            if _split(host, PORTS[scheme]) == (name, port):
                return True
        return self._is_here(*found)

    def same(self, origin: str, host: str) -> bool:
        """Return whether a page of this origin is the demo's own.

        Args:
            origin: The header `Origin`.
            host: The header `Host`, which must be known.
        """
        scheme, _, rest = origin.partition("://")
        named = _split(rest, PORTS.get(scheme, 0))
        if named is None or scheme not in PORTS:
            return False
        if self.root and _public(self.root) == (scheme, *named):
            return True
        return scheme == "http" and named == _split(host, 80) and self._is_here(*named)

    def _is_here(self, name: str, port: int) -> bool:
        """Return whether the demo listens there."""
        host = self.host.lower()
        if port != self.port:
            return False
        if host in WILDCARDS:
            # An attacker can point a name at this machine, but not an IP address.
            own = socket.gethostname().lower()
            return _number(name) is not None or name in ("localhost", own, f"{own}.local")
        number = _number(host)
        if host == "localhost" or (number is not None and number.is_loopback):
            return name in LOOPBACK or name == host
        return name == host or (number is not None and _number(name) == number)


def _number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _split(host: str | None, default: int) -> tuple[str, int] | None:
    """Return name and port from a header, or None for anything else."""
    match = HOST.fullmatch(host or "")
    if match is None:
        return None
    name = match[1].lower().strip("[]")
    number = _number(name)
    return (str(number) if number else name, int(match[2] or default))


def _public(url: str) -> tuple[str, str, int]:
    """Return scheme, name and port of a public address."""
    parts = urlsplit(url)
    named = _split(parts.netloc, PORTS.get(parts.scheme, 0))
    if named is None or parts.scheme not in PORTS or parts.query or parts.fragment:
        raise ConfigError(
            f"{url!r} is not a public address, expected one like https://videos.example.org or https://example.org/videos"
        )
    return (parts.scheme, *named)
