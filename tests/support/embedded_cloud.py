"""The local emulator for tests, with this process's environment set to it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from localcloud import Cloud, Variant


@contextmanager
def embedded_cloud(monkeypatch: pytest.MonkeyPatch, variant: Variant | None = None) -> Iterator[Cloud]:
    """Yield a cloud that clients in this process reach by production names."""
    http_challenge_cache.clear()  # Key Vault's SDK caches challenges per process
    with Cloud(variant=variant) as cloud:
        for name, value in cloud.environment().items():
            monkeypatch.setenv(name, value)
        yield cloud
