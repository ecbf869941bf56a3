"""Tracking plans: what a project says its events and properties are, and whether a record keeps to it.

Pure: values in, values out. Plans are kept by `footfall.workspace.plans`; docs/tracking-plan.md shows one.
"""

from footfall.tracking_plan.plan import (
    GRADES,
    MODES,
    PROPERTY_TYPES,
    Description,
    Grade,
    Mode,
    Plan,
    PlannedEvent,
    PlannedProperty,
    PropertyType,
    Source,
    Unknown,
)

__all__ = [
    "GRADES",
    "MODES",
    "PROPERTY_TYPES",
    "Description",
    "Grade",
    "Mode",
    "Plan",
    "PlannedEvent",
    "PlannedProperty",
    "PropertyType",
    "Source",
    "Unknown",
]
