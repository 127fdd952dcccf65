"""An embedded imitation of the clouds that this app works with, for `make run`, tests and benchmarks.

`Cloud` is the way in; `localcloud.faults` has what can go wrong in it.
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
