"""What people keep: projects, the keys that open them, and the record of what was done with those."""

from footfall.workspace.audit import COMMAND_LINE, FOOTFALL, Audit, AuditFilter
from footfall.workspace.opening import open_workspace
from footfall.workspace.project_keys import KeyTerms, ListedKey, TooManyKeys
from footfall.workspace.projects import IdentityRules, InvalidProject, Project
from footfall.workspace.workspace import (
    Bootstrapped,
    Grant,
    ProjectExists,
    ProjectKeys,
    SavedVirtualEvent,
    VirtualEventRefused,
    Workspace,
)

__all__ = [
    "COMMAND_LINE",
    "FOOTFALL",
    "Audit",
    "AuditFilter",
    "Bootstrapped",
    "Grant",
    "IdentityRules",
    "InvalidProject",
    "KeyTerms",
    "ListedKey",
    "Project",
    "ProjectExists",
    "ProjectKeys",
    "SavedVirtualEvent",
    "TooManyKeys",
    "VirtualEventRefused",
    "Workspace",
    "open_workspace",
]
