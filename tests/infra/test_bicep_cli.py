"""The Bicep CLI's own word, where there is one. It cannot be got from a package registry, so a fresh machine goes without.

The pipelines to copy install it (`az bicep install`) and put it on the path, so that these run before anything is deployed.
"""

import shutil
import subprocess

import pytest

from tests.infra.test_publish import ROOT

BICEP = shutil.which("bicep")
pytestmark = pytest.mark.skipif(
    BICEP is None,
    reason="no Bicep CLI on the path, so the templates are held by the other tests of this folder alone; `az bicep install` puts one "
    "into ~/.azure/bin",
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "--stdout", "main.bicep"),
        ("lint", "main.bicep"),
        ("build-params", "--stdout", "app.bicepparam"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_bicep_takes_it(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(BICEP), *arguments], cwd=ROOT / "infra", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
