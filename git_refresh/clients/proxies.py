"""The proxies that the environment names: the variable, and why one cannot be used. No text from here contains a password."""

import os
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

import requests
from urllib3.util import parse_url

from git_refresh.model.values import Problem
from git_refresh.settings.pasted import PLACEHOLDER

_with_scheme: Callable[[str, str], str] = requests.utils.prepend_scheme_if_needed
_FORM = "write http://PROXY:PORT, or http://USER:PASSWORD@PROXY:PORT"
_VARIABLES = ("all_proxy", "https_proxy")
"""Later ones come first: `requests` takes ALL_PROXY only where there is no HTTPS_PROXY."""
_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63})*\.?|\[[0-9a-f:.]+\]", re.IGNORECASE)
_RESERVED = "#/?\\[]"
"""What ends a user name or a password in a URL, unless it is percent-encoded."""


def proxy_problems(urls: Iterable[str]) -> list[Problem]:
    """The proxy that cannot be used, if the way to one of these URLs leads through it: NO_PROXY may exempt them all."""
    flaw = proxy_flaw()
    exempt = not flaw or not any(map(requests.utils.get_environ_proxies, urls))
    return [] if exempt else [Problem(proxy_variable(), flaw)]


def portless_proxy(urls: Iterable[str]) -> str:
    """`host` of the proxy on the way to one of these URLs, if it can be used and names no port; else empty."""
    proxy = _named()
    if not proxy or flaw_of(proxy) or not any(map(requests.utils.get_environ_proxies, urls)):
        return ""
    parsed = parse_url(_with_scheme(proxy, "http"))
    return parsed.host or "" if parsed.port is None else ""


def proxy_flaw() -> str:
    """Why the proxy that the environment names cannot be used, as `flaw_of` words it."""
    return flaw_of(_named())


def proxy_variable() -> str:
    """The environment variable that names the proxy."""
    proxy = _named()
    found = [name for name, value in os.environ.items() if name.lower() in _VARIABLES and value == proxy]
    return max(
        found, key=lambda name: (_VARIABLES.index(name.lower()), name.isupper()), default="HTTPS_PROXY"
    )


def _named() -> str:
    """The proxy that the environment names for HTTPS, as it is written; empty: none."""
    return requests.utils.select_proxy("https://", getproxies()) or ""


def flaw_of(proxy: str) -> str:
    """Why `requests` can reach nothing through a proxy, and what to write, as it reads on after the variable; empty: it can."""
    if not proxy or _is_usable(proxy):
        return ""
    found = _SCHEME.match(proxy)
    scheme = found[1].lower() if found else ""
    bare = proxy[found.end() :] if found else proxy.removeprefix("//")
    before, _, address = bare.rpartition("@")
    unsafe = ", ".join(f"{quote(sign, safe='')} for {sign}" for sign in _RESERVED if sign in before)
    if proxy != proxy.strip():
        flaw = "begins or ends with a blank; remove it"
    elif proxy.startswith(('"', "'")):
        flaw = "is in quotation marks; remove them"
    elif scheme.startswith("socks"):
        flaw = f"names a SOCKS proxy, but this app uses HTTP proxies only; {_FORM} of an HTTP proxy"
    elif unsafe:
        flaw = f"has a user name or password that is not percent-encoded; write {unsafe}"
    elif scheme not in {"", "http", "https"}:
        flaw = f"must start with http:// or https://; {_FORM}"
    elif PLACEHOLDER.search(address):
        flaw = f"is a placeholder that was never filled in; {_FORM}"
    elif not scheme and _is_usable(f"http://{bare}"):  # `requests` takes localhost: for a scheme
        flaw = f"must start with http://; {_FORM}"
    else:
        flaw = f"is not the address of a proxy; {_FORM}"
    return flaw


def _is_usable(proxy: str) -> bool:
    """Whether `requests` and `urllib3` read the same host and port in it."""
    try:
        written = _with_scheme(proxy, "http")
        # The former encodes what the latter, which `requests` reads user and password with, stumbles over.
        parsed, parts = parse_url(written), urlsplit(proxy if "://" in proxy else written)
        port = parts.port
    except ValueError:  # of urllib3 too
        return False
    host, named = parsed.host or "", parts.hostname or ""
    same = parsed.scheme in {"http", "https"} and (not named.isascii() or host.strip("[]") == named)
    return same and _HOST.fullmatch(host) is not None and port == parsed.port and port != 0
