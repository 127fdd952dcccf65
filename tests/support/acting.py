"""Stand-ins for `az` and `databricks` that do what they are given, in the embedded cloud, as the person who is signed in.

Each command line must be one that its program takes, by `vendors.json`. `sleep` takes no time.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from tests.support import vendors
from tests.support.paths import ROOT

DATABRICKS, VAULT, MANAGER = (
    "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d",
    "https://vault.azure.net",
    "https://management.azure.com/",
)
"""The resources of tokens. The cloud's own names take a second to import, each time."""
_API = {
    "git-credentials delete": ("DELETE", "/api/2.0/git-credentials/{0}"),
    "permissions get": ("GET", "/api/2.0/permissions/{0}/{1}"),
    "permissions set": ("PUT", "/api/2.0/permissions/{0}/{1}"),
    "service-principal-secrets-proxy delete": (
        "DELETE",
        "/api/2.0/accounts/servicePrincipals/{0}/credentials/secrets/{1}",
    ),
    "service-principals delete": ("DELETE", "/api/2.0/preview/scim/v2/ServicePrincipals/{0}"),
    "account service-principals delete": ("DELETE", "{account}/scim/v2/ServicePrincipals/{0}"),
    "account workspace-assignment delete": (
        "DELETE",
        "{account}/workspaces/{0}/permissionassignments/principals/{1}",
    ),
    "account service-principal-federation-policy delete": (
        "DELETE",
        "{account}/servicePrincipals/{0}/federationPolicies/{1}",
    ),
}
"""What the Databricks CLI sends; positional arguments by their number."""


def write(folder: Path, signed_in: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Write the stand-ins into a folder, and return a shell's environment with them; `signed_in` has the `az` of a sign-in."""
    folder.mkdir()
    for name in ("az", "databricks"):
        script = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.support.acting {name} "$@"\n'
        (folder / name).write_text(script)
    (folder / "sleep").write_text("#!/bin/sh\n")
    for file in folder.iterdir():
        file.chmod(0o755)
    authority = {"CURL_CA_BUNDLE": environ["REQUESTS_CA_BUNDLE"], "SIGNED_IN": str(signed_in / "az")}
    return {**environ, "PATH": f"{folder}:{environ['PATH']}", **authority}


def type_in(command: str, environ: Mapping[str, str]) -> None:
    """Run a command in a shell.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", command],  # noqa: S607  # from the PATH
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def _options(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The positional arguments, and the options with their values."""
    positional, options = [], {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            options[word] = rest.pop(0)
        else:
            positional.append(word)
    return positional, options


def _send(resource: str, method: str, url: str, body: object = None) -> Any:
    asked = [os.environ["SIGNED_IN"], "account", "get-access-token", "--resource", resource]
    token = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)["accessToken"]
    answer = requests.request(
        method, url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    if not answer.ok:
        sys.exit(f"{answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


def _databricks(name: str, words: list[str]) -> Any:
    positional, options = _options(words)
    method, path = _API[name]
    account = f"/api/2.0/accounts/{os.environ.get('DATABRICKS_ACCOUNT_ID')}"
    url = os.environ["DATABRICKS_HOST"] + path.format(*positional, account=account)
    if number := options.get("--principal-id"):
        url += f"?principal_id={number}"
    body = json.loads(options["--json"]) if "--json" in options else None
    return _send(DATABRICKS, method, url, body)


def _vault_secret(name: str, options: Mapping[str, str]) -> Any:
    verb = name.rpartition(" ")[2]
    method = "POST" if verb == "recover" else "DELETE"
    folder = "secrets" if verb == "delete" else "deletedsecrets"
    path = f"{folder}/{options['--name']}{'/recover' if verb == 'recover' else ''}"
    url = f"https://{options['--vault-name']}.vault.azure.net/{path}?api-version=7.6"
    return _send(VAULT, method, url)


def _app_settings(_: str, options: Mapping[str, str]) -> Any:
    site = (
        f"https://management.azure.com/subscriptions/{options['--subscription']}/resourceGroups/"
        f"{options['--resource-group']}/providers/Microsoft.Web/sites/{options['--name']}/config/appsettings"
    )
    version = "?api-version=2025-03-01"
    there = _send(MANAGER, "POST", f"{site}/list{version}")["properties"]
    setting, _, value = options["--settings"].partition("=")
    return _send(MANAGER, "PUT", site + version, {"properties": there | {setting: value}})


def _rest(_: str, options: Mapping[str, str]) -> Any:
    body = json.loads(options["--body"]) if "--body" in options else None
    return _send(options["--resource"], options.get("--method", "get").upper(), options["--url"], body)


def _header(_: str, options: Mapping[str, str]) -> None:
    """What a query for a header prints: nothing else may print a token."""
    assert options["--query"] == "join('', ['Authorization: Bearer ', accessToken])"
    asked = [
        "account",
        "get-access-token",
        "--resource",
        options["--resource"],
        "--tenant",
        options["--tenant"],
    ]
    done = subprocess.run([os.environ["SIGNED_IN"], *asked], capture_output=True, check=True)
    print(f"Authorization: Bearer {json.loads(done.stdout)['accessToken']}")  # noqa: T201  # which curl reads


_AZ: Mapping[str, Callable[[str, Mapping[str, str]], Any]] = {
    "account get-access-token": _header,
    "rest": _rest,
    "keyvault secret": _vault_secret,
    "functionapp config appsettings set": _app_settings,
}


def main(program: str, *words: str) -> None:
    """Do one command line, and print what it prints."""
    vendors.check([program, *words])
    name, begin = vendors.command_of([program, *words])
    rest = list(words[begin - 1 :])
    if program == "databricks":
        printed = _databricks(name, rest)
    else:
        act = next(act for known, act in _AZ.items() if re.match(rf"{known}\b", name))
        printed = act(name, _options(rest)[1])
    if printed is not None:
        print(json.dumps(printed))  # noqa: T201  # what it is read by


if __name__ == "__main__":
    main(*sys.argv[1:])
