"""Checks the HTTP proxy in the environment variables. No text contains a password."""

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
"""In ascending order of precedence, as in `requests`."""
_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_HOST = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63})*\.?|\[[0-9a-f:.]+\]", re.IGNORECASE)
_RESERVED = "#/?\\[]"
"""Characters that must be percent-encoded in a user name or password."""


class Flaw(NamedTuple):
    found: str
    """Continues a sentence that begins with the variable."""
    advice: str


def unusable_proxy(urls: Iterable[str]) -> Flaw | None:
    """Return why the proxy cannot be used, or None if it can or if none of these URLs needs it."""
    flaw = flaw_of(_environment_proxy())
    return flaw if flaw and any(map(requests.utils.get_environ_proxies, urls)) else None


def proxy_problems(urls: Iterable[str]) -> list[Problem]:
    """Return `unusable_proxy` as a list of problems."""
    flaw = unusable_proxy(urls)
    return [Problem(proxy_variable(), "; ".join(flaw))] if flaw else []


def portless_proxy(urls: Iterable[str]) -> str:
    """Return the host of the proxy for any of these URLs if the proxy has no port, or ""."""
    proxy = _environment_proxy()
    if not proxy or flaw_of(proxy) or not any(map(requests.utils.get_environ_proxies, urls)):
        return ""
    parsed = parse_url(_with_scheme(proxy, "http"))
    return parsed.host or "" if parsed.port is None else ""


def proxy_flaw() -> str:
    """Return why the proxy of the environment cannot be used, or ""."""
    flaw = flaw_of(_environment_proxy())
    return flaw.found if flaw else ""


def proxy_variable() -> str:
    """Return the environment variable that names the proxy."""
    proxy = _environment_proxy()
    found = [name for name, value in os.environ.items() if name.lower() in _VARIABLES and value == proxy]
    return max(
        found, key=lambda name: (_VARIABLES.index(name.lower()), name.isupper()), default="HTTPS_PROXY"
    )


def _environment_proxy() -> str:
    return requests.utils.select_proxy("https://", getproxies()) or ""


def flaw_of(proxy: str) -> Flaw | None:
    """Return why the app cannot use a proxy, or None."""
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
    elif not scheme and _is_usable(f"http://{bare}"):  # `requests` parses localhost: as a scheme
        found = "must start with http://"
    else:
        found = "is not the address of a proxy"
    return Flaw(found, _FORM)


def _is_usable(proxy: str) -> bool:
    """Return whether `requests` and `urllib3` find the same valid host and port in a proxy's URL."""
    try:
        written = _with_scheme(proxy, "http")
        # `requests` uses `parse_url` for the host, but `urlsplit` for user and password.
        parsed, parts = parse_url(written), urlsplit(proxy if "://" in proxy else written)
        port = parts.port
    except ValueError:  # includes urllib3.exceptions.LocationParseError
        return False
    host, named = parsed.host or "", parts.hostname or ""
    same = parsed.scheme in {"http", "https"} and (not named.isascii() or host.strip("[]") == named)
    return same and _HOST.fullmatch(host) is not None and port == parsed.port and port != 0
