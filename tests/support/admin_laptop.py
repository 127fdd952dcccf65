"""An admin with a laptop: signed in to the Azure CLI, with access to the fleet's vault."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from git_refresh.admin.services import AdminServices
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.output.log import RedactingLogger
from localcloud import Cloud, Fleet
from localcloud.authority import OTHER_TENANT
from localcloud.databricks.account import AccountPrincipal
from localcloud.fleet import CLIENT_ID, UngrantedFleet
from localcloud.people import Person, laptop


def admin_of(cloud: Cloud, fleet: Fleet, name: str = "ada") -> Person:
    """Return an admin of the fleet's workspaces who can write to its vault."""
    person = cloud.person(name)
    for workspace in fleet.workspaces:
        workspace.add_user(person, admin=True)
    fleet.vault.allow_writing(person.object_id)
    return person


def laptop_of(person: Person, cloud: Cloud, place: Path) -> dict[str, str]:
    """Return the environment of the person's laptop."""
    return laptop({**os.environ, **cloud.environment()}, person.sign_in(place))


def principal_of(cloud: Cloud) -> AccountPrincipal:
    found = cloud.account.find(CLIENT_ID)
    assert found is not None
    return found


@contextmanager
def admin_services(
    environ: Mapping[str, str], logger: RedactingLogger | None = None
) -> Iterator[AdminServices]:
    """Yield the admin services on this laptop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", environ["PATH"])  # azure-identity searches az there
        services = AdminServices(Deadline.after(30, SystemClock()), environ, logger or RedactingLogger())
        try:
            yield services
        finally:
            services.close()


def environ_of(
    cloud: Cloud, fleet: UngrantedFleet, place: Path, person: Person | None = None
) -> dict[str, str]:
    """Return a laptop's environment after `az login`, with the app's identity for `check`."""
    az = (person or fleet.admin).sign_in(place / "az", [OTHER_TENANT])
    environ = laptop({**os.environ, **cloud.environment(), **fleet.settings}, az)
    return environ | {
        name: value for name, value in cloud.environment().items() if name.startswith("IDENTITY")
    }
