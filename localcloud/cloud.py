"""The local emulator: one event loop in one thread, one temporary directory, everything on loopback."""

import asyncio
import concurrent.futures
import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.authority import TENANT, Authority
from localcloud.databricks.account import Account
from localcloud.databricks.account_site import AccountSite
from localcloud.databricks.variant import Variant
from localcloud.databricks.workspace import Workspace
from localcloud.devops.entitlements import EntitlementSite
from localcloud.devops.graph import GraphSite
from localcloud.devops.organization import DevOps
from localcloud.devops.site import DevOpsSite
from localcloud.directory import Directory
from localcloud.faults import Fault
from localcloud.graph import Graph
from localcloud.identity import Identity, IdentityEndpoint
from localcloud.keyvault import KeyVault
from localcloud.login import AppRegistration, Login
from localcloud.logs import LogAnalytics
from localcloud.memory import Memory
from localcloud.observer import Observer, Request, Site
from localcloud.people import Person
from localcloud.proxy import Certificates, Proxy, ProxyTls, ended, serving
from localcloud.resource_manager import ResourceManager
from localcloud.storage import StorageAccount

LEGACY_DEVOPS = ".visualstudio.com"


def _in_memory() -> str | None:
    """Return a directory in memory if Linux has enough, else None for the default directory."""
    place = "/dev/shm"  # noqa: S108  # only the parent directory
    roomy = os.access(place, os.W_OK) and shutil.disk_usage(place).free > _ROOM
    return place if roomy else None


_ROOM = 2**30
"""Bytes: enough for thousands of small clones. A container has a sixteenth of it by default."""


class Cloud:
    """An emulator of Entra, Resource Manager, logs, Key Vault, storage, Databricks and Azure DevOps.

    Unmodified clients use them as in production.

    The emulator runs from construction to `close` or to the end of a `with` block. `environment` has the
    variables through which a client process reaches it. The proxy listens on `port` (default: a free one). It
    speaks plain HTTP unless `proxy_tls` names the signer of its certificate.

    `identity`: the managed identity that the client runs as by default.
    `devops`: the Azure DevOps organizations and their repositories.
    `account`: the Databricks account of all workspaces.
    `resource_manager`: the subscriptions and their function apps.
    `logs`: the rows of the Application Insights components.
    `directory`: holds repositories, clones and certificates until `close`.
    """

    def __init__(
        self, *, port: int = 0, proxy_tls: ProxyTls | None = None, variant: Variant | None = None
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(
            prefix="localcloud-", dir=_in_memory(), ignore_cleanup_errors=True
        )
        self.directory = Path(self._scratch.name)
        self._bundle = self.directory / "ca.pem"
        self._certificates = Certificates()
        self._certificates.write_bundle(self._bundle)
        self._empty = tempfile.mkdtemp(dir=self.directory)
        self._observer = Observer()
        self._proxy_tls: ProxyTls | None = proxy_tls
        self._variant = variant or Variant()
        self._authority = Authority()
        self._identities = IdentityEndpoint(self._authority)
        self.identity = self._identities.default
        self._login = Login(self._authority)
        entra, place = Directory(self._identities, self._login), self.directory / "devops"
        self.devops = DevOps(self._authority, entra, place, self.identity.object_id)
        devops = (DevOpsSite(self.devops), GraphSite(self.devops), EntitlementSite(self.devops))
        self.account = Account(entra)
        self._workspaces: dict[str, Workspace] = {}
        databricks = AccountSite(self._authority, self.account, self._workspaces)
        self.resource_manager = ResourceManager(self._authority)
        self.logs = LogAnalytics(self._authority, self.resource_manager)
        microsoft = (self._login, Graph(self._authority, entra), self.resource_manager, self.logs)
        self._sites: dict[str, Site] = {site.host: site for site in (*devops, databricks, *microsoft)}
        self._people: dict[str, Person] = {}
        self._vaults: dict[str, KeyVault] = {}
        self._accounts: dict[str, StorageAccount] = {}
        self._started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=asyncio.run, args=[self._serve(port)], name="localcloud", daemon=True
        )
        self._thread.start()
        try:
            self._started.result()
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop every connection, stop, and delete everything; closing twice is safe."""
        with contextlib.suppress(RuntimeError):  # the loop has stopped already
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        for account in self._accounts.values():
            account.stop()
        self._scratch.cleanup()

    def add_identity(self, name: str) -> Identity:
        """Return the user-assigned identity of this name; a new one has no permissions."""
        return self._identities.add(name)

    def app_registration(self, name: str) -> AppRegistration:
        """Return the app registration of this name; a new one has no federated credential and no consent."""
        return self._login.application(name)

    def person(self, name: str, tenant_id: str = TENANT) -> Person:
        """Return the person of this name; a new one has no permissions."""
        if name not in self._people:
            found = self.resource_manager.subscriptions_of
            self._people[name] = Person(name, self._authority, tenant_id, found)
        return self._people[name]

    def workspace(self, host: str) -> Workspace:
        """Return the workspace at `adb-<number>.<n>.azuredatabricks.net`, created if missing."""
        if host not in self._workspaces:
            bundle = str(self._bundle)
            # Only the emulator's authority: reading the machine's own is git's slowest step.
            trust = {"GIT_SSL_CAINFO": bundle, "GIT_PROXY_SSL_CAINFO": bundle, "GIT_SSL_CAPATH": self._empty}
            network = {"https_proxy": self._proxy_url, **trust}
            place = self.directory / host
            variant = replace(self._variant)
            self._workspaces[host] = Workspace(host, self._authority, self.account, place, network, variant)
            self._sites[host.lower()] = self._workspaces[host]
        return self._workspaces[host]

    def keyvault(self, name: str) -> KeyVault:
        """Return the vault of this name; the cloud's identity can read secrets of a new one."""
        if name not in self._vaults:
            self._vaults[name] = KeyVault(name, self._authority, self.identity.object_id)
            self._sites[self._vaults[name].host] = self._vaults[name]
        return self._vaults[name]

    def storage_account(self, name: str) -> StorageAccount:
        """Return the storage account of this name; the cloud's identity can use all of a new one.

        A new account takes a second.

        Raises:
            RuntimeError: Azurite is not installed; run `make install`.
        """
        if name not in self._accounts:
            owner, place = self.identity.object_id, self.directory / f"storage-{name}"
            account = StorageAccount(name, self._authority, owner, place, self._certificates)
            self._accounts[name] = account
            self._sites |= {site.host: site for site in account.sites}
        return self._accounts[name]

    def environment(self) -> dict[str, str]:
        """Return the environment variables through which a client process reaches the cloud."""
        loopback = "127.0.0.1,localhost"
        variables = {
            "HTTPS_PROXY": self._proxy_url,
            "https_proxy": self._proxy_url,
            "NO_PROXY": loopback,
            "no_proxy": loopback,
            "REQUESTS_CA_BUNDLE": str(self._bundle),
        }
        if self._identities.identities:
            variables["IDENTITY_ENDPOINT"] = f"http://127.0.0.1:{self._identity_port}/msi/token"
            variables["IDENTITY_HEADER"] = self.identity.header
        return variables

    def inject(self, fault: Fault) -> None:
        """Inject a fault from now on; several faults on one request add up."""
        self._observer.faults.append(fault)

    def clear_faults(self) -> None:
        self._observer.faults.clear()

    def remember_secrets(self) -> None:
        """From now on, remember per host the secrets that it receives and issues, for `hostile.Echo`."""
        self._observer.memory = Memory()

    @property
    def secrets(self) -> list[str]:
        return self._observer.memory.all() if self._observer.memory else []

    @property
    def issued(self) -> list[str]:
        """The tokens and secrets that the services have issued since `remember_secrets`."""
        return self._observer.memory.given() if self._observer.memory else []

    def known_to(self, host: str) -> list[str]:
        return list(self._observer.memory.of(host)) if self._observer.memory else []

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in order of arrival."""
        return list(self._observer.requests)

    @property
    def refused(self) -> list[str]:
        """The `host:port` of every connection that the proxy has refused."""
        return list(self._proxy.refused)

    @property
    def latency(self) -> float:
        """Seconds added to every response."""
        return self._observer.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._observer.latency = seconds

    @property
    def on_request(self) -> Callable[[Request], None] | None:
        """Called, in the cloud's thread, with each request before it is handled."""
        return self._observer.on_request

    @on_request.setter
    def on_request(self, hook: Callable[[Request], None] | None) -> None:
        self._observer.on_request = hook

    async def _serve(self, port: int) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._proxy = Proxy(self._site, self._observer, self._certificates)
        identity = await serving(self._identities, self._observer)
        assert identity.server is not None  # noqa: S101  # it is set up
        server = await self._loop.create_server(identity.server, "127.0.0.1", 0)
        self._identity_port: int = server.sockets[0].getsockname()[1]
        try:
            scheme = "https" if self._proxy_tls else "http"
            self._proxy_url = f"{scheme}://127.0.0.1:{await self._proxy.start(port, self._proxy_tls)}"
        except OSError as error:
            self._started.set_exception(error)
        else:
            self._started.set_result(None)
            await self._stop.wait()
        await self._proxy.close()
        for account in self._accounts.values():
            await account.disconnect()
        server.close()
        await ended(identity)
        server.abort_clients()  # a killed client might never read the rest of a response

    def _site(self, host: str) -> Site | None:
        organization = host.removesuffix(LEGACY_DEVOPS)
        if host not in self._sites and organization != host and self.devops.known(organization):
            self._sites[host] = DevOpsSite(self.devops, organization)
        return self._sites.get(host)
