import pytest

from tools import bicep


def usable_cli() -> str:
    """Return the path of the Bicep CLI, or skip the test."""
    try:
        return bicep.find()
    except bicep.UnusableError as why:
        pytest.skip(
            f"{why} Not tried: whether infra/ builds, lints, is formatted, and deploys its snapshots."
        )


@pytest.fixture(scope="session")
def cli() -> str:
    return usable_cli()
