"""Fakes of the programs in tools/e2e.sh, with one object as Azure, Databricks and the clock."""

import json
import os
import re
import signal
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

PROGRAMS = ("az", "func", "databricks", "python", "sleep")
GROUP_ID = "/subscriptions/s/resourceGroups/e2e"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
APP = "Microsoft.Web/sites"
PLAN = "Microsoft.Web/serverfarms"
STORAGE = "Microsoft.Storage/storageAccounts"
MADE = (IDENTITY, STORAGE, "Microsoft.Insights/components", PLAN, APP, "Microsoft.KeyVault/vaults")
"""The resources that a deployment creates, in sequence."""
LATE = "microsoft.alertsmanagement/smartDetectorAlertRules"
"""A resource that Azure adds by itself, with blanks in its name. The portal hides its type."""
GRANTS = ("entitlement", "policy", "can-manage")
DIRECTORY = "/Workspace/Shared/git-refresh-e2e"
PAUSE = "AzureWebJobs.refresh_git.Disabled"
AMID = -1
"""Instead of a call's number: kill the caller during a deployment."""
_TOKEN_S, _PROOF_S = 3600, 300
"""Seconds that a token is valid, and GitHub's ID token, which each new token needs."""
_STAND_IN = """\
#!/bin/bash
exec 3<>"/dev/tcp/127.0.0.1/$STAND_IN_PORT"
printf '%s\\0' "$$" "$#" "${0##*/}" "$@" >&3
IFS= read -r code <&3
IFS= read -r -d '' text <&3
if [ "$code" = 0 ]; then printf '%s' "$text"; else printf '%s' "$text" >&2; fi
exit "$code"
"""

type Words = tuple[str, ...]


class KilledError(Exception):
    """The caller and its process group are killed."""


class RefusedError(Exception):
    """A program exits with 1 and this text on stderr."""


def id_of(kind: str) -> str:
    """Return the ID of the only resource of a type."""
    name = "Failure Anomalies - appi" if kind == LATE else kind.rpartition("/")[2]
    return f"{GROUP_ID}/providers/{kind}/{name}"


@dataclass
class World:
    """The state: at first an empty resource group with the workflow's tag and role assignment."""

    tag: str = "owned"
    resources: dict[str, str] = field(default_factory=dict)
    locks: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=lambda: [GROUP_ID])
    deployment: str = ""
    pending: list[str] = field(default_factory=list)
    goes_on_at: int = 0
    """When Azure creates the next resource of a deployment whose caller was killed."""
    settings: dict[str, str] = field(default_factory=dict)
    versions: int = 0
    principal: bool = False
    grants: list[str] = field(default_factory=list)
    directory: bool = False
    folder: bool = False
    adds_rule: bool = False
    """True if Azure adds a resource by itself."""
    paused_at: int | None = None

    def left_behind(self) -> list[str]:
        """Return everything that the empty group did not have."""
        return [
            *(*self.resources, *self.locks, *self.pending, *self.grants),
            *(role for role in self.roles if role != GROUP_ID),
            *(name for name in ("principal", "directory", "folder") if getattr(self, name)),
        ]

    def create(self, kind: str) -> None:
        self.resources[id_of(kind)] = kind
        if kind == STORAGE and id_of(kind) not in self.roles:
            self.roles.append(id_of(kind))
        if kind == APP:
            self.settings.setdefault(PAUSE, "true")


@dataclass
class StandInCloud:
    """Responds to the fakes, and stores the world after each call."""

    world: World = field(default_factory=World)
    broken: str = ""
    """The prefix of a failing command, or another broken part."""
    kill_at: int | None = None
    """The number of the call that kills its caller, or `AMID`."""
    calls: list[Words] = field(default_factory=list)
    after: list[World] = field(default_factory=list)
    clock: int = 0
    signed_in: int = 0
    tokens: dict[str, int] = field(default_factory=dict)

    def sign_in(self) -> None:
        self.signed_in, self.tokens = self.clock, {}

    def answer(self, words: Words) -> tuple[int, str]:
        """Return the exit code and output of a program."""
        self.calls.append(words)
        if self.kill_at == len(self.calls):
            raise KilledError
        try:
            code, text = 0, self._act(words)
        except RefusedError as error:
            code, text = 1, f"{error}\n"
        self.after.append(deepcopy(self.world))
        return code, text

    def _act(self, words: Words) -> str:
        line = " ".join(words)
        if words[0] == "az":
            if self.world.pending and self.clock >= self.world.goes_on_at:
                self.world.create(self.world.pending.pop(0))
            self._check_sign_in(words)
        if self.broken and line.startswith(self.broken):
            raise RefusedError("Something else.")
        for begin, act in _ACTS.items():
            if line.startswith(begin):
                text = act(self, words) or ""
                return f"{text}\n" if text else ""
        raise AssertionError(f"unknown to the stand-in: {line}")

    def _check_sign_in(self, words: Words) -> None:
        if words[1:3] == ("account", "get-access-token"):
            if self.clock > self.signed_in + _PROOF_S:
                raise RefusedError("AADSTS700024: Client assertion is not within its valid time range.")
            self.tokens[_option(words, "--resource")] = self.clock
        got = self.tokens.get("https://management.azure.com", -_TOKEN_S)
        if self.clock > self.signed_in + _PROOF_S and self.clock >= got + _TOKEN_S:
            raise RefusedError("AADSTS700024: the token has expired.")

    def sleep(self, words: Words) -> None:
        self.clock += int(words[1])

    def show_group(self, words: Words) -> str:
        return self.world.tag if "tags" in _option(words, "--query") else GROUP_ID

    def list_resources(self, words: Words) -> str:
        query, there = _option(words, "--query"), self.world.resources
        if query in {"[].id", f"[?type!='{IDENTITY}'].id"}:
            found = [id_ for id_, kind in there.items() if query == "[].id" or kind != IDENTITY]
            if not there and self.world.adds_rule:
                self.world.adds_rule = False
                self.world.create(LATE)
        elif query == "[].type":
            found = [*there.values()]
        else:
            wanted = query.removeprefix("[?type=='").removesuffix("'].name")
            found = [id_.rpartition("/")[2] for id_, kind in there.items() if kind == wanted]
        return "\n".join(found)

    def delete_resource(self, words: Words) -> None:
        self.clock += 60
        id_, there = _option(words, "--ids"), self.world.resources
        if id_ in self.world.locks or (there[id_] == PLAN and id_of(APP) in there):
            raise RefusedError("Conflict")
        del there[id_]

    def list_identities(self, _: Words) -> str:
        return "client" if id_of(IDENTITY) in self.world.resources else ""

    def list_locks(self, _: Words) -> str:
        return "\n".join(self.world.locks)

    def delete_lock(self, words: Words) -> None:
        self.world.locks.remove(_option(words, "--ids"))

    def delete_role(self, words: Words) -> None:
        self.world.roles.remove(_option(words, "--ids"))

    def rest(self, words: Words) -> str:
        url = _option(words, "--url")
        if "/roleAssignments?" in url:
            return "\n".join(role for role in self.world.roles if role.startswith(f"{GROUP_ID}/"))
        assert "/providers/Microsoft.AlertsManagement/alerts?" in url, url
        paused_at = self.world.paused_at
        fires = paused_at is not None and self.clock >= paused_at + 4500 and self.broken != "alert"
        return str(int(fires))

    def deploy(self, words: Words) -> None:
        self.clock += 900
        self.world.deployment, self.world.pending = "Running", [*MADE]
        if self.kill_at == AMID:
            self.world.create(self.world.pending.pop(0))
            self.world.goes_on_at = self.clock + 900
            raise KilledError
        for kind in MADE:
            self.world.create(kind)
        self.world.deployment, self.world.pending = "Succeeded", []
        if "deleteLock=true" in words:
            self.world.locks = [id_of(APP)]
        if self.broken == "settings of others":
            self.world.settings.pop("MINE", None)

    def show_deployment(self, _: Words) -> str:
        return "the-name" if self.world.deployment == "Succeeded" else ""

    def list_deployments(self, _: Words) -> str:
        return "git-refresh" if self.world.deployment == "Running" else ""

    def cancel_deployment(self, _: Words) -> None:
        self.world.deployment, self.world.pending = "Canceled", []

    def set_setting(self, words: Words) -> None:
        name, _, value = _option(words, "--settings").partition("=")
        self.world.settings[name] = value
        if name == PAUSE:
            self.world.paused_at = self.clock

    def delete_setting(self, words: Words) -> None:
        self.world.settings.pop(_option(words, "--setting-names"), None)

    def list_settings(self, words: Words) -> str:
        (name,) = re.findall(r"'(.*)'", _option(words, "--query"))
        return self.world.settings.get(name, "")

    def delete_app(self, _: Words) -> None:
        if id_of(APP) in self.world.locks and self.broken != "lock":
            raise RefusedError("(ScopeLocked) The scope cannot perform delete operation.")
        self.world.resources.pop(id_of(APP), None)

    def list_blobs(self, _: Words) -> str:
        return str(self.world.versions)

    def publish(self, _: Words) -> None:
        self.clock += 300
        if not self.world.versions or self.broken != "old code":
            self.world.versions += 1

    def onboard(self, words: Words) -> str:
        self.clock += 90
        if "--new-principal" in words:
            if self.world.principal:
                raise RefusedError("principal_name_taken")
            self.world.principal = True
        elif "--remove" in words:
            if id_of(IDENTITY) not in self.world.resources:
                raise RefusedError("Nothing finds what a deleted identity was granted.")
            names = [*self.world.grants, "principal"]
            # Shell quoting over two lines, with a command that must not read the list of commands.
            commands = [f"cat; true 'it'\"'\"'s\n\\' && databricks take-back {name}" for name in names]
            return json.dumps({"version": 1, "result": "ok", "commands": commands})
        else:
            self.world.directory, self.world.grants = True, [*GRANTS]
        return ""

    def deploy_list(self, words: Words) -> None:
        assert {"--apply", "--yes", "--wait"} <= {*words}
        self.clock += 2100
        self.world.settings["WORKSPACES"] = "[]"
        self.world.settings.pop(PAUSE, None)
        self.world.folder = self.world.adds_rule = True
        self.world.grants = [*GRANTS, "credential"]

    def list_principals(self, _: Words) -> str:
        return json.dumps([{"applicationId": "5a1e"}] if self.world.principal else [])

    def take_back(self, words: Words) -> None:
        if words[2] == "principal":
            self.world.principal = False
        else:
            self.world.grants.remove(words[2])

    def list_directory(self, words: Words) -> str:
        inside = words[3] == DIRECTORY
        there = self.world.folder if inside else self.world.directory
        return json.dumps([{"path": f"{DIRECTORY}/repository" if inside else DIRECTORY}] if there else [])

    def delete_directory(self, _: Words) -> None:
        if self.world.folder:
            raise RefusedError("DIRECTORY_NOT_EMPTY")
        self.world.directory = False

    def delete_folder(self, _: Words) -> None:
        self.world.folder = False

    def say(self, words: Words) -> str:
        """Respond to a command that changes nothing."""
        return {"prove": '{"version": 1}', "get-status": '{"object_type": "REPO"}'}.get(
            words[2].removeprefix("tools."), ""
        )

    @contextmanager
    def programs(self, folder: Path) -> Iterator[dict[str, str]]:
        """Install the fakes in a folder, serve them, and yield their environment."""
        folder.mkdir(exist_ok=True)
        for name in PROGRAMS:
            (folder / name).write_text(_STAND_IN)
            (folder / name).chmod(0o755)
        with _Server(("127.0.0.1", 0), _Handler) as server:
            server.cloud = self
            Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            yield {"PATH": f"{folder}:{os.environ['PATH']}", "STAND_IN_PORT": str(server.server_address[1])}
            server.shutdown()


class _Server(socketserver.TCPServer):
    cloud: StandInCloud


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        process, number = int(self._word()), int(self._word())
        words = tuple(self._word() for _ in range(number + 1))
        try:
            code, text = self.server.cloud.answer(words)
        except KilledError:
            os.killpg(os.getpgid(process), signal.SIGKILL)
            return
        except AssertionError as error:
            code, text = 99, str(error)
        self.wfile.write(f"{code}\n{text}".encode())

    def _word(self) -> str:
        word = b""
        while not word.endswith(b"\0"):
            word += self.rfile.read(1)
        return word[:-1].decode()


def _option(words: Words, name: str) -> str:
    return words[words.index(name) + 1] if name in words else ""


_ACTS: dict[str, Callable[[StandInCloud, Words], str | None]] = {
    "sleep": StandInCloud.sleep,
    "az account get-access-token": StandInCloud.say,
    "az group show": StandInCloud.show_group,
    "az resource list": StandInCloud.list_resources,
    "az resource delete": StandInCloud.delete_resource,
    "az identity list": StandInCloud.list_identities,
    "az lock list": StandInCloud.list_locks,
    "az lock delete": StandInCloud.delete_lock,
    "az role assignment delete": StandInCloud.delete_role,
    "az rest --method get": StandInCloud.rest,
    "az deployment group create": StandInCloud.deploy,
    "az deployment group show": StandInCloud.show_deployment,
    "az deployment group list": StandInCloud.list_deployments,
    "az deployment group cancel": StandInCloud.cancel_deployment,
    "az functionapp config appsettings set": StandInCloud.set_setting,
    "az functionapp config appsettings delete": StandInCloud.delete_setting,
    "az functionapp config appsettings list": StandInCloud.list_settings,
    "az functionapp delete": StandInCloud.delete_app,
    "az storage blob list": StandInCloud.list_blobs,
    "func azure functionapp " + "publish": StandInCloud.publish,
    "python -m git_refresh init": StandInCloud.say,
    "python -m git_refresh onboard": StandInCloud.onboard,
    "python -m git_refresh deploy": StandInCloud.deploy_list,
    "python -m tools.prove": StandInCloud.say,
    "databricks service-principals list": StandInCloud.list_principals,
    "databricks workspace get-status": StandInCloud.say,
    "databricks workspace list": StandInCloud.list_directory,
    "databricks workspace delete": StandInCloud.delete_directory,
    "databricks repos delete": StandInCloud.delete_folder,
    "databricks take-back": StandInCloud.take_back,
}
"""The prefix of a command line, and its effect."""
