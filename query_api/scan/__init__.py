"""The sequence scanner: walks each actor's events once and says how deep into a funnel they got, and when.

ClickHouse filters and projects; what depends on the order of a person's events happens here (ADR 0003).
`funnel_plan` has what goes in and comes out, `native` is what runs, `oracle` is what it means.
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

__all__ = [
    "MAX_STEPS",
    "NEVER",
    "NO_VALUE",
    "Block",
    "FunnelPlan",
    "FunnelScan",
    "Order",
    "ScannerMissing",
    "scan_funnel",
]
