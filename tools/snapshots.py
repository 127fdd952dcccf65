"""The resources that infra/ deploys, predicted by Microsoft's Bicep CLI.

`make snapshots` writes them to `tests/infra/snapshots`, for tests and tools. For each variant it has a
parameter file and a snapshot, then the compiled template and the hashes of the sources.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tools import bicep
from tools.queries import ROOT

FOLDER = ROOT / "tests/infra/snapshots"
TEMPLATE = FOLDER / "main.json"
SOURCES = FOLDER / "sources.sha256"
MAIN = ROOT / "infra/main.bicep"
_GUID = "00000000-0000-0000-0000-000000000000"
_DEPLOYMENT = {
    "subscription-id": _GUID,
    "tenant-id": _GUID,
    "resource-group": "git-refresh",
    "location": "westeurope",
    "deployment-name": "git-refresh",
}
_REMEDY = f"Install the Bicep CLI {bicep.VERSION}, and run: make snapshots"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The resources and outputs of one variant. Expressions in brackets stand for values from Azure."""

    resources: tuple[dict[str, Any], ...]
    outputs: dict[str, Any]

    def of_type(self, type_: str) -> list[dict[str, Any]]:
        return [each for each in self.resources if each["type"] == type_]

    def the(self, type_: str) -> dict[str, Any]:
        """Return the only resource of a type."""
        (found,) = self.of_type(type_)
        return found


@lru_cache
def parse(snapshot: str) -> Deployment:
    whole = json.loads(snapshot)
    return Deployment(tuple(whole["predictedResources"]), whole["outputs"])


def read(variant: str) -> Deployment:
    """Return what a variant deploys."""
    return parse((FOLDER / f"{variant}.snapshot.json").read_text(encoding="utf-8"))


def parameter_files() -> list[Path]:
    return sorted(FOLDER.glob("*.bicepparam"))


def snapshot_of(variant: Path) -> Path:
    """Return the path of a parameter file's snapshot."""
    return variant.with_suffix(".snapshot.json")


def sources() -> dict[str, str]:
    """Return the SHA-256 of each source file by its path."""
    infra = ROOT / "infra"
    templates = [infra / "main.bicep", *infra.glob("modules/*.bicep")]
    files = [
        *templates,
        *infra.rglob("*.kql"),
        infra / "workbook.json",
        *parameter_files(),
        *FOLDER.glob("*.bicep"),
    ]
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in sorted(files)}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def out_of_date() -> list[str]:
    """Return the changed source files and the command to run, or [] if up to date."""
    lines = SOURCES.read_text(encoding="utf-8").splitlines() if SOURCES.exists() else []
    before = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    now = sources()
    changed = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    return [*changed, f"The snapshots are out of date. {_REMEDY}"] if changed else []


def compiled(cli: str) -> str:
    """Return the compiled template.

    Raises:
        RuntimeError: the template does not compile.
    """
    done = bicep.run(cli, "build", str(MAIN), "--stdout")
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def differences(cli: str, variant: Path, *, mode: str = "validate") -> str:
    """Return how a snapshot differs from the current templates, or the CLI's error.

    With the mode `overwrite`, the snapshot is written.
    """
    options = [part for name, value in _DEPLOYMENT.items() for part in (f"--{name}", value)]
    done = bicep.run(cli, "snapshot", str(variant), "--mode", mode, *options)
    return f"{done.stderr}\n{done.stdout}".strip() if done.returncode else ""


def make(cli: str) -> None:
    """Write the compiled template, every snapshot and the hashes.

    Raises:
        RuntimeError: the template does not compile, or a variant cannot be deployed.
    """
    TEMPLATE.write_text(compiled(cli), encoding="utf-8")
    for variant in parameter_files():
        if failure := differences(cli, variant, mode="overwrite"):
            raise RuntimeError(failure)
        _sort_outputs(snapshot_of(variant))
    for stale in {*FOLDER.glob("*.snapshot.json")} - {*map(snapshot_of, parameter_files())}:
        stale.unlink()
    lines = [f"{digest}  {name}\n" for name, digest in sources().items()]
    SOURCES.write_text("".join(lines), encoding="utf-8")


def _sort_outputs(snapshot: Path) -> None:
    """Sort the outputs, whose order differs in each run of the CLI."""
    whole = json.loads(snapshot.read_text(encoding="utf-8"))
    whole["outputs"] = dict(sorted(whole["outputs"].items()))
    snapshot.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        make(bicep.find())
    except (bicep.UnusableError, RuntimeError) as error:
        sys.exit(f"The snapshots were not written. {error}")
