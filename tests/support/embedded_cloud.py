"""The embedded cloud as tests have it: started, and with this process's environment leading to it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from localcloud import Cloud, Variant


@contextmanager
def embedded_cloud(monkeypatch: pytest.MonkeyPatch, variant: Variant | None = None) -> Iterator[Cloud]:
    """A cloud that a client in this process reaches by production names, as long as the test lasts."""
    http_challenge_cache.clear()  # Key Vault's SDK keeps challenges for the process, an odd one of another test's too
    with Cloud(variant=variant) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        yield cloud
