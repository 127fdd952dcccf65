import contextlib
import gc
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from localcloud import Cloud, Connect, Fault, faults
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.rest import Rest


def test_closing_leaves_nothing_and_can_be_done_twice() -> None:
    cloud = Cloud()
    cloud.devops.repository("contoso", "p", "r")
    assert cloud.directory.is_dir()
    cloud.close()
    cloud.close()
    assert not cloud.directory.exists()
    assert not cloud._thread.is_alive()


def test_closes_at_once_with_hung_handlers(cloud: Cloud, session: requests.Session) -> None:
    hosts = [f"adb-{number:016}.1.azuredatabricks.net" for number in range(4)]
    for host in hosts:
        cloud.workspace(host)
    cloud.inject(Fault(Connect.HANG, host=hosts[0]))
    cloud.inject(Fault(faults.drip(interval=0.01), host=hosts[1]))
    cloud.inject(Fault(faults.act_then(faults.hang()), host=hosts[2]))
    cloud.inject(Fault(faults.hang(), host=hosts[3]))
    for host in hosts:
        with contextlib.suppress(requests.exceptions.RequestException):
            session.get(f"https://{host}/x", timeout=0.05, stream=True)
    assert [seen.status for seen in cloud.requests] == [None, None, None]
    began = time.monotonic()
    cloud.close()
    assert time.monotonic() - began < 2
    gc.collect()


def test_closes_at_once_with_a_hung_pull(
    cloud: Cloud, api: Rest, repository: Repository, devops_token: str
) -> None:
    folder = api.workspace.add_folder("/Repos/etl/prod", repository)
    api.store_token(devops_token)
    cloud.inject(Fault(faults.hang(), service="devops"))
    options = {
        "headers": {"Authorization": f"Bearer {api.token}"},
        "json": {"branch": "main"},
        "timeout": 0.3,
    }
    with pytest.raises(requests.exceptions.ReadTimeout):
        api.session.patch(f"{api.workspace.url}/api/2.0/repos/{folder.id}", **options)  # type: ignore[arg-type]
    began = time.monotonic()
    cloud.close()
    assert time.monotonic() - began < 2


def test_a_port_in_use_is_an_error() -> None:
    with Cloud() as cloud:
        port = int(cloud.environment()["HTTPS_PROXY"].rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            Cloud(port=port)


def test_latency_is_added_to_every_answer_and_does_not_add_up(cloud: Cloud, workspace: Workspace) -> None:
    def ask(_: int) -> int:
        return requests.get(f"{workspace.url}/.well-known/databricks-config", timeout=5).status_code

    ask(0)
    cloud.latency = 0.3
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [200] * 8
    assert 0.3 < time.monotonic() - began < 8 * 0.3


def test_a_body_does_not_wait_for_the_acknowledgement_of_its_head(api: Rest) -> None:
    began = time.monotonic()
    for _ in range(20):
        api("POST", "/workspace/mkdirs", json={"path": "/Shared/a"})
    assert time.monotonic() - began < 20 * 0.04
