"""Downloads from allowed hosts: no redirects, no private addresses, and no more bytes than allowed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx

from dyto.serving.refusing import Refusal

PORTS = {"http": 80, "https": 443}

CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 10.0, 20.0, 300.0


@dataclass(frozen=True)
class Fetcher:
    """A client for media at addresses.

    Attributes:
        hosts: Names of the allowed hosts, alone for the usual port or as "name:port".
        most_bytes: Largest size of a download.
    """

    hosts: frozenset[str]
    most_bytes: int

    async def fetch(self, url: str, path: Path, param: str) -> str:
        """Download a file.

        Args:
            url: Its address.
            path: Where to write it.
            param: The field of the request, for messages.

        Returns:
            The SHA-256 of its bytes.

        Raises:
            Refusal: The host is not allowed or not public, or the download fails or is too large.
        """
        parsed = self._check(url, param)
        address = await self._public_address(parsed, param)
        try:
            return await asyncio.wait_for(self._download(parsed, address, path, param), WHOLE_SECONDS)
        except (asyncio.TimeoutError, TimeoutError) as err:
            raise Refusal(
                400, f"the download took more than {WHOLE_SECONDS:.0f} s", code="invalid_media", param=param
            ) from err
        except httpx.HTTPError as err:
            said = type(err).__name__
            raise Refusal(400, f"the download failed ({said})", code="invalid_media", param=param) from err

    def _check(self, url: str, param: str) -> httpx.URL:
        """Check an address as a text."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as err:
            raise Refusal(400, "the address cannot be read, expected https://host/path", param=param) from err
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise Refusal(400, "the address has no host, expected https://host/path", param=param)
        if parsed.userinfo:
            raise Refusal(400, "the address holds a name or password, expected none", param=param)
        host = parsed.host.rstrip(".").lower()
        usual = {host, f"{host}:{PORTS[parsed.scheme]}"}
        if self.hosts.isdisjoint(usual if parsed.port is None else {f"{host}:{parsed.port}"}):
            raise Refusal(
                403, "media from this host are not allowed here: upload the file, or ask the operator for --allow-host",
                code="host_not_allowed", param=param,
            )  # fmt: skip
        return parsed

    async def _public_address(self, url: httpx.URL, param: str) -> str:
        """Return an address of a host, all of whose addresses are public; the connection uses it, not the name."""
        port = url.port or PORTS[url.scheme]
        try:
            found = await asyncio.wait_for(
                asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM), CONNECT_SECONDS
            )
        except (OSError, UnicodeError, asyncio.TimeoutError, TimeoutError) as err:
            raise Refusal(400, "the host of the address is not known", code="invalid_media", param=param) from err
        addresses = [str(where[4][0]) for where in found]
        if not addresses or not all(map(is_public, addresses)):
            raise Refusal(403, "the host of the address is not public", code="host_not_allowed", param=param)
        return addresses[0]

    async def _download(self, url: httpx.URL, address: str, path: Path, param: str) -> str:
        digest, size = sha256(), 0
        host = url.netloc.decode("ascii")
        limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=limits) as client,
            client.stream(
                "GET",
                url.copy_with(host=address),
                headers={"host": host, "accept-encoding": "identity"},
                extensions={"sni_hostname": url.host},
            ) as response,
        ):
            if response.status_code != 200:
                raise Refusal(
                    400, f"the address answered with status {response.status_code}, expected 200 (redirects are not "
                    "followed)", code="invalid_media", param=param,
                )  # fmt: skip
            if response.headers.get("content-encoding", "identity") != "identity":
                raise Refusal(400, "the download is encoded, expected a plain file", code="invalid_media", param=param)
            with path.open("xb") as file:
                async for chunk in response.aiter_raw():
                    size += len(chunk)
                    if size > self.most_bytes:
                        raise too_large(self.most_bytes, param)
                    digest.update(chunk)
                    file.write(chunk)
        if not size:
            raise Refusal(400, "the download is empty, expected a video", code="invalid_media", param=param)
        return digest.hexdigest()


def too_large(most_bytes: int, param: str | None) -> Refusal:
    """Return the refusal of a video that is too large."""
    return Refusal(
        413, f"the video has more than {most_bytes / 1e6:g} MB, which is the limit here: cut it or lower its quality",
        code="too_large", param=param,
    )  # fmt: skip


SERVICES = frozenset({ipaddress.IPv4Address("168.63.129.16")})
"""Addresses that look public, but lead to the services of a cloud that a machine runs in (here: Azure)."""

ISATAP = (0x5EFE, 0x200_5EFE)
"""Marks in the middle of an address of IPv6 whose last 32 bits are an address of IPv4 (RFC 5214, section 6.1)."""


def is_public(address: str) -> bool:
    """Return whether an address belongs to the public internet, in whatever form it is written.

    Example:
        >>> [is_public(one) for one in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1")]
        [True, False, False, False, False]
    """
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inside: list[ipaddress.IPv4Address] = []  # what an address of IPv6 stands for, if it stands for one of IPv4
    if isinstance(number, ipaddress.IPv6Address):
        teredo = number.teredo or ()
        inside = [one for one in (number.ipv4_mapped, number.sixtofour, *teredo) if one is not None]
        head, mark = int(number) >> 32, int(number) >> 32 & 0xFFFFFFFF
        if number in ipaddress.ip_network("64:ff9b::/96") or head == 0 or mark in ISATAP:
            inside.append(ipaddress.IPv4Address(int(number) & 0xFFFFFFFF))
        if number.is_site_local:
            return False
    judged: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address] = inside or [number]
    return all(one.is_global and not (one.is_multicast or one.is_reserved or one in SERVICES) for one in judged)
