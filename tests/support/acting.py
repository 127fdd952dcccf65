"""Fakes for `az` and `databricks` that act on the emulator as the signed-in person.

Each command line must be valid for its program by `vendors.json`. `sleep` returns at once.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, override

import requests

from localcloud.authority import DATABRICKS_RESOURCE, MANAGEMENT_RESOURCE, VAULT_RESOURCE
from localcloud.people import Person
from tests.support import vendors

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
"""The requests of the Databricks CLI; numbers stand for positional arguments."""


_STAND_IN = """\
#!/bin/sh
for word in {name} "$DATABRICKS_HOST" "$DATABRICKS_ACCOUNT_ID" "$@"; do printf '%s\\0' "$word"; done |
  curl --silent --fail-with-body --noproxy '*' --data-binary @- http://127.0.0.1:{port}/
"""


@contextmanager
def shell(folder: Path, person: Person, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the environment of a shell on a person's laptop with the fakes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Typed, person))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    folder.mkdir(exist_ok=True)
    for name in ("az", "databricks"):
        (folder / name).write_text(_STAND_IN.format(name=name, port=server.server_port))
    (folder / "sleep").write_text("#!/bin/sh\n")
    for file in folder.iterdir():
        file.chmod(0o755)
    try:
        yield {
            **{name: environ[name] for name in ("HTTPS_PROXY", "HOME") if name in environ},
            "CURL_CA_BUNDLE": environ["REQUESTS_CA_BUNDLE"],
            "DATABRICKS_HOST": "",
            "DATABRICKS_ACCOUNT_ID": "",
            "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Typed(BaseHTTPRequestHandler):
    """A command line of a person."""

    def __init__(self, person: Person, *arguments: Any) -> None:
        self._person = person
        super().__init__(*arguments)

    def do_POST(self) -> None:  # http.server's name
        typed = self.rfile.read(int(self.headers["Content-Length"])).decode().split("\0")[:-1]
        program, host, account, *words = typed
        try:
            printed, status = _Program(self._person, host, account).run(program, words), 200
        except Exception as error:  # noqa: BLE001  # the command prints it
            printed, status = f"{type(error).__name__}: {error}", 500
        self.send_response(status)
        self.end_headers()
        self.wfile.write(printed.encode())

    @override
    def log_message(self, format: str, *_: object) -> None:
        pass


def type_in(command: str, environ: Mapping[str, str]) -> None:
    """Run a command in a shell.

    Raises:
        AssertionError: the command failed.
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
    """Return the positional arguments, and the options with their values."""
    positional, options = [], {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            options[word] = rest.pop(0)
        else:
            positional.append(word)
    return positional, options


@dataclass(frozen=True)
class _Program:
    """A vendor's program, started by a person."""

    person: Person
    host: str
    account: str

    def run(self, program: str, words: list[str]) -> str:
        """Run a command line and return its output."""
        vendors.check([program, *words])
        name, begin = vendors.command_of([program, *words])
        positional, options = _options(words[begin - 1 :])
        match name.split():
            case _ if program == "databricks":
                return self._databricks(name, positional, options)
            case ["rest"]:
                method = options.get("--method", "get").upper()
                return self._send(options["--resource"], method, options["--url"], options.get("--body"))
            case ["account", "get-access-token"]:
                # Only this command can print a token.
                assert options["--query"] == "join('', ['Authorization: Bearer ', accessToken])"
                return (
                    f"Authorization: Bearer {self.person.token(options['--resource'], options['--tenant'])}"
                )
            case ["keyvault", "secret", verb]:
                return self._vault_secret(verb, options)
            case ["functionapp", "config", "appsettings", "set"]:
                return self._app_setting(options)
        raise NotImplementedError(name)

    def _send(self, resource: str, method: str, url: str, body: str | None = None) -> str:
        headers = {
            "Authorization": f"Bearer {self.person.token(resource)}",
            "Content-Type": "application/json",
        }
        answer = requests.request(method, url, data=body, headers=headers, timeout=20)
        answer.raise_for_status()
        if "html" in answer.headers.get("Content-Type", ""):
            raise ValueError("a sign-in page")
        return answer.text

    def _databricks(self, name: str, positional: list[str], options: Mapping[str, str]) -> str:
        method, path = _API[name]
        url = self.host + path.format(*positional, account=f"/api/2.0/accounts/{self.account}")
        if number := options.get("--principal-id"):
            url += f"?principal_id={number}"
        return self._send(DATABRICKS_RESOURCE, method, url, options.get("--json"))

    def _vault_secret(self, verb: str, options: Mapping[str, str]) -> str:
        folder = "secrets" if verb == "delete" else "deletedsecrets"
        path = f"{folder}/{options['--name']}{'/recover' if verb == 'recover' else ''}?api-version=7.6"
        url = f"https://{options['--vault-name']}.vault.azure.net/{path}"
        return self._send(VAULT_RESOURCE, "POST" if verb == "recover" else "DELETE", url)

    def _app_setting(self, options: Mapping[str, str]) -> str:
        site = (
            f"{MANAGEMENT_RESOURCE}/subscriptions/{options['--subscription']}/resourceGroups/"
            f"{options['--resource-group']}/providers/Microsoft.Web/sites/{options['--name']}/config/appsettings"
        )
        version = "?api-version=2025-03-01"
        there = json.loads(self._send(MANAGEMENT_RESOURCE, "POST", f"{site}/list{version}"))
        setting, _, value = options["--settings"].partition("=")
        there["properties"][setting] = value
        return self._send(MANAGEMENT_RESOURCE, "PUT", site + version, json.dumps(there))
