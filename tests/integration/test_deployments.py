"""App settings after each deployment of infra/ in the emulated Azure, and after deploying a list."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from localcloud import Cloud, seed
from localcloud.authority import MANAGEMENT_RESOURCE
from localcloud.fleet import APP, PAUSE
from tests.support import warm
from tests.support.admin_laptop import laptop_of
from tools import snapshots

pytestmark = pytest.mark.timeout(60)

OUTPUTS = snapshots.read("settings").outputs
CASES: Mapping[str, dict[str, str]] = OUTPUTS["cases"]
WAITING = {name for name, waits in OUTPUTS["waiting"].items() if waits}


@pytest.mark.parametrize("case", CASES)
def test_a_list_is_deployed_on_what_a_deployment_leaves(cloud: Cloud, tmp_path: Path, case: str) -> None:
    fleet = seed(cloud, 1)
    app, ada = fleet.app, cloud.person("ada")
    app.group.assign(ada.object_id, "Website Contributor", "Monitoring Contributor")
    for rule in app.group.alert_rules:
        rule.enabled = case not in WAITING
    environ = laptop_of(ada, cloud, tmp_path / "az")
    answer = requests.put(
        f"https://management.azure.com{app.id}/config/appsettings?api-version=2025-03-01",
        json={"properties": CASES[case]},
        headers={"Authorization": f"Bearer {ada.token(MANAGEMENT_RESOURCE)}"},
        proxies={"https": environ["HTTPS_PROXY"]},
        verify=environ["REQUESTS_CA_BUNDLE"],
        timeout=10,
    )
    assert (answer.status_code, app.settings) == (200, CASES[case])

    list_ = {name: json.loads(fleet.settings[name]) for name in ("WORKSPACES", "WORKSPACE_DEFAULTS")}
    (tmp_path / "list.json").write_text(json.dumps(list_))
    done = warm.run(
        "deploy", str(tmp_path / "list.json"), "--app", APP, "--apply", "--yes", "--json", environ=environ
    )
    assert done.returncode == 0, f"{done.stdout.decode()}\n{done.stderr.decode()}"
    assert {name: json.loads(app.settings[name]) for name in list_} == list_
    made_by_hand = case in {"pausedByHand", "pausedByHandWithList"}
    assert (PAUSE in app.settings) == made_by_hand, (
        "the first deployment's pause ends, one made by hand stays"
    )
    assert all(rule.enabled for rule in app.group.alert_rules)
    kept = CASES[case].keys() - list_.keys() - {PAUSE}
    assert {name: app.settings[name] for name in kept} == {name: CASES[case][name] for name in kept}
