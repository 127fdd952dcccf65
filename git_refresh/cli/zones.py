"""The Azure DevOps token of every trust zone, for commands that look at them one after the other."""

from collections.abc import Mapping

from git_refresh.cli.executor import Executor
from git_refresh.failures.diagnosis import Diagnosis, diagnose, interrupted, out_of_time
from git_refresh.model.values import AZURE_DEVOPS, Token, Zone
from git_refresh.run.context import facts_of_zone
from git_refresh.run.ports import Clouds
from git_refresh.settings.load import Settings


def tokens_of(
    zones: Mapping[Zone, Settings], clouds: Clouds, crew: Executor
) -> dict[Zone, Token | Diagnosis]:
    """Each zone's token, or why there is none; all at once, so that an identity that hangs holds up no other zone."""

    def fetch(zone: Zone) -> Token | Diagnosis:
        context = facts_of_zone(zone, zones[zone])
        try:
            return clouds.services(zone).token(AZURE_DEVOPS)
        except Exception as error:  # noqa: BLE001  # a defect must not stop the other zones
            return diagnose(error, context)

    found = crew.each(list(zones), fetch)
    unfinished = interrupted if crew.interrupted else out_of_time
    return {zone: token or unfinished(facts_of_zone(zone, zones[zone])) for zone, token in found}
