"""The proxies that the environment names: the variable, and why one cannot be used. No text from here contains a password."""

import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
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


class Flaw(NamedTuple):
    """What is wrong with a proxy, as it reads on after the variable, and what to write."""

    found: str
    advice: str


def unusable_proxy(urls: Iterable[str]) -> Flaw | None:
    """Why the proxy on the way to one of these URLs cannot be used; NO_PROXY may exempt them all."""
    flaw = flaw_of(_named())
    return flaw if flaw and any(map(requests.utils.get_environ_proxies, urls)) else None


def proxy_problems(urls: Iterable[str]) -> list[Problem]:
    """The proxy that cannot be used, if the way to one of these URLs leads through it."""
    flaw = unusable_proxy(urls)
    return [Problem(proxy_variable(), "; ".join(flaw))] if flaw else []


def portless_proxy(urls: Iterable[str]) -> str:
    """`host` of the proxy on the way to one of these URLs, if it can be used and names no port; else empty."""
    proxy = _named()
    if not proxy or flaw_of(proxy) or not any(map(requests.utils.get_environ_proxies, urls)):
        return ""
    parsed = parse_url(_with_scheme(proxy, "http"))
    return parsed.host or "" if parsed.port is None else ""


def proxy_flaw() -> str:
    """Why the proxy that the environment names cannot be used; empty: it can."""
    flaw = flaw_of(_named())
    return flaw.found if flaw else ""


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


def flaw_of(proxy: str) -> Flaw | None:
    """Why `requests` can reach nothing through a proxy; None: it can."""
    if not proxy or _is_usable(proxy):
        return None
    start = _SCHEME.match(proxy)
    scheme = start[1].lower() if start else ""
    bare = proxy[start.end() :] if start else proxy.removeprefix("//")
    before, _, address = bare.rpartition("@")
    unsafe = ", ".join(f"{quote(sign, safe='')} for {sign}" for sign in _RESERVED if sign in before)
    if proxy != proxy.strip():
        return Flaw("begins or ends with a blank", "remove it")
    if proxy.startswith(('"', "'")):
        return Flaw("is in quotation marks", "remove them")
    if scheme.startswith("socks"):
        return Flaw("names a SOCKS proxy, but this app uses HTTP proxies only", f"{_FORM} of an HTTP proxy")
    if unsafe:
        return Flaw("has a user name or password that is not percent-encoded", f"write {unsafe}")
    if scheme not in {"", "http", "https"}:
        found = "must start with http:// or https://"
    elif PLACEHOLDER.search(address):
        found = "is a placeholder that was never filled in"
    elif not scheme and _is_usable(f"http://{bare}"):  # `requests` takes localhost: for a scheme
        found = "must start with http://"
    else:
        found = "is not the address of a proxy"
    return Flaw(found, _FORM)


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
