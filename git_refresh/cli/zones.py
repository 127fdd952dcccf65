"""The Azure DevOps token of every trust zone, for commands that look at them one after the other."""

from collections.abc import Mapping

from git_refresh.cli.crew import Crew
from git_refresh.diagnosis.explain import Diagnosis, explain, internal, interrupted, out_of_time
from git_refresh.run.shared import facts_of_zone
from git_refresh.seams import Clouds
from git_refresh.settings.load import Settings
from git_refresh.symptom import ServiceError
from git_refresh.values import AZURE_DEVOPS, Token, Zone


def tokens_of(zones: Mapping[Zone, Settings], clouds: Clouds, crew: Crew) -> dict[Zone, Token | Diagnosis]:
    """Each zone's token, or why there is none; all at once, so that an identity that hangs holds up no other zone."""

    def fetch(zone: Zone) -> Token | Diagnosis:
        facts = facts_of_zone(zone, zones[zone])
        try:
            return clouds.services(zone).token(AZURE_DEVOPS)
        except ServiceError as error:
            return explain(error.symptom, facts)
        except TimeoutError:
            return out_of_time(facts)
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not take the other zones along
            return internal(error, facts)

    found = crew.each(list(zones), fetch)
    unfinished = interrupted if crew.interrupted else out_of_time
    return {zone: token or unfinished(facts_of_zone(zone, zones[zone])) for zone, token in found}
