"""Who may read from the results server: under which names it answers, and which pages of other origins it lets in.

Results may be private, and a browser runs pages of strangers beside them. The client is served with the data, so its
own page needs no permission; a page of another origin may read only where the user named that origin.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from ophiolite.errors import ConfigError, explain

ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")

# Browsers leave it out.
DEFAULT_PORT = re.compile(r"(http://.+):80$|(https://.+):443$")


def is_loopback(name: str) -> bool:
    """Whether a host's name or address is this machine's own, reached by no other."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name.removesuffix(".") == "localhost" or name.removesuffix(".").endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def answers_to(host: str | None, bind: str, address: str) -> bool:
    """Whether a server that was told to listen on `bind`, and does on `address`, answers a request with this `Host`.

    A stranger's page can make its own name lead to 127.0.0.1 and then counts as of the same origin (DNS rebinding), so
    a server that listens to this machine alone answers to this machine's names alone: any of loopback, and `bind`.
    """
    if host is None or not is_loopback(address):
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or (name != "" and name == bind.lower())


def host_in_url(bind: str) -> str:
    """The host of the addresses of a server that listens on `bind`."""
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return bind
    host = socket.getfqdn() if address.is_unspecified else bind
    return f"[{host}]" if ":" in host else host


def check_origin(text: str) -> str:
    """An origin as browsers send it; raises ConfigError for anything else."""
    origin = DEFAULT_PORT.sub(r"\1\2", text.lower().rstrip("/"))
    if not ORIGIN.fullmatch(origin):
        raise ConfigError(
            explain(
                "--allow-origin",
                "is no origin of a web page",
                expected="https://host or http://host:port",
                got=text,
                do="Name the pages that may read these results, one by one",
            )
        )
    return origin


def origin_headers(origin: str | None, allowed: Collection[str], *, preflight: bool) -> dict[str, str]:
    """The headers that let a page of `origin` read an answer (https://fetch.spec.whatwg.org/#http-cors-protocol)."""
    # Keeps pages of other origins from embedding results as images or scripts, which asks for no permission.
    headers = {"Cross-Origin-Resource-Policy": "same-origin"}
    if allowed:
        headers["Vary"] = "Origin"
    if origin not in allowed or origin is None:
        return headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "Accept-Ranges, Content-Range, Content-Length, ETag"
    if preflight:
        headers |= {
            "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers": "Range, If-None-Match, X-Requested-With",
            # Browsers ask for this before a public page, such as a hosted viewer, may read from this machine.
            "Access-Control-Allow-Private-Network": "true",
            "Access-Control-Max-Age": "3600",
        }
    return headers
