"""A local emulator of the clouds that this app uses, for `make run`, tests and benchmarks.

Start with `Cloud`; `localcloud.faults` lists the faults that it can inject.
"""

from localcloud.cloud import Cloud
from localcloud.databricks.variant import Variant
from localcloud.faults import Connect, Fault
from localcloud.fleet import Fleet, UngrantedFleet, ZonedFleet, seed, seed_ungranted, seed_zones

__all__ = [
    "Cloud",
    "Connect",
    "Fault",
    "Fleet",
    "UngrantedFleet",
    "Variant",
    "ZonedFleet",
    "seed",
    "seed_ungranted",
    "seed_zones",
]
