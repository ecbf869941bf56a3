"""What people keep: projects and the keys that open them."""

from footfall.workspace.opening import open_workspace
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
    "Bootstrapped",
    "Grant",
    "IdentityRules",
    "InvalidProject",
    "Project",
    "ProjectExists",
    "ProjectKeys",
    "SavedVirtualEvent",
    "VirtualEventRefused",
    "Workspace",
    "open_workspace",
]
