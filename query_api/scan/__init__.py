"""The sequence scanner: walks each actor's events once, for funnels, retention and paths.

ClickHouse filters and projects; what depends on the order of a person's events happens here (ADR 0003).
`funnel_plan` has what goes in and comes out, `native` is what runs, `oracle` is what it means;
`retention_plan` and `native_retention` are the same for retention (ADR 0008), `paths_plan`,
`native_paths` and `oracle_paths` for paths (ADR 0011).
"""

from __future__ import annotations

from query_api.scan.funnel_plan import (
    MAX_STEPS,
    NEVER,
    NO_VALUE,
    Block,
    FunnelPlan,
    FunnelScan,
    Order,
)
from query_api.scan.native import ScannerMissing, scan_funnel
from query_api.scan.native_paths import find_actors, scan_paths
from query_api.scan.native_retention import scan_retention, tally
from query_api.scan.paths_plan import (
    MAX_NAMES,
    Cell,
    Labels,
    Links,
    Nodes,
    PathBlock,
    PathsPlan,
    PathsScan,
    TooManyNames,
)
from query_api.scan.retention_plan import ENTERS, NAMED, RETURNS, RetentionPlan, RetentionScan

__all__ = [
    "ENTERS",
    "MAX_NAMES",
    "MAX_STEPS",
    "NAMED",
    "NEVER",
    "NO_VALUE",
    "RETURNS",
    "Block",
    "Cell",
    "FunnelPlan",
    "FunnelScan",
    "Labels",
    "Links",
    "Nodes",
    "Order",
    "PathBlock",
    "PathsPlan",
    "PathsScan",
    "RetentionPlan",
    "RetentionScan",
    "ScannerMissing",
    "TooManyNames",
    "find_actors",
    "scan_funnel",
    "scan_paths",
    "scan_retention",
    "tally",
]
