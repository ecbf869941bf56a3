"""Who may ask what: keys and projects."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final

from starlette.requests import Request

from footfall.workspace.projects import Project
from footfall.workspace.workspace import Grant, Workspace
from query_api.problems import Forbidden, NotFound, Unauthorised
from query_api.spec.spellings import nearest

_WHERE_KEYS_COME_FROM: Final = (
    "a project's key was shown when the project was made (POST /api/v1/projects), the key of all projects "
    "when `footfall up` first started; FOOTFALL_SECRET_KEY sets the latter anew"
)


@dataclass(frozen=True, slots=True)
class Access:
    """Checks keys against the workspace."""

    workspace: Workspace
    local_key: str | None = None
    """Of this process alone: it opens everything to commands that can read the home."""

    def grant(self, authorization: str | None, *, hides_small_cells: bool = False) -> Grant:
        """What the secret key of an Authorization header opens. Raises Unauthorised or Forbidden.

        Keys with a minimum cell size open only what says that it hides small cells from them.
        """
        scheme, _, key = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorised(
                f"send the secret key as 'Authorization: Bearer ff_sk_...'; {_WHERE_KEYS_COME_FROM}"
            )
        if self.local_key is not None and compare_digest(key.strip().encode(), self.local_key.encode()):
            return Grant("secret", None)
        grant = self.workspace.grant(key.strip())
        if grant is None:
            raise Unauthorised(
                "this key opens nothing: is it complete, and of this installation? " + _WHERE_KEYS_COME_FROM
            )
        if grant.kind != "secret":
            raise Forbidden("a write key sends events; queries need a secret key", code="write_key")
        if grant.min_cell is not None and not hides_small_cells:
            raise Forbidden(
                f"this key's minimum cell size is {grant.min_cell}: it sees counts, and neither persons nor "
                "single records, and changes nothing",
                code="min_cell",
            )
        return grant

    def opened(
        self, request: Request, name: str, *, hides_small_cells: bool = False
    ) -> tuple[Grant, Project]:
        """The grant of the request's key, and the project that it opens. Raises as `grant` and `project`."""
        authorization = request.headers.get("authorization")
        grant = self.grant(authorization, hides_small_cells=hides_small_cells)
        return grant, self.project(grant, name)

    def project(self, grant: Grant, name: str) -> Project:
        """The project, if the key opens it. Raises Forbidden or NotFound."""
        if not grant.opens(name):
            raise Forbidden(f"this key belongs to project {grant.project!r}", code="wrong_project")
        project = self.workspace.project(name)
        if project is None:
            close = nearest(name, [known.name for known in self.workspace.projects()])
            hint = f"; did you mean {close!r}?" if close is not None else ""
            raise NotFound(f"there is no project {name[:100]!r}{hint}", code="unknown_project")
        return project

    def record(self, grant: Grant, action: str, project: str, subject: str = "", **detail: Any) -> None:
        """Writes what was done into the audit log, for good: call it before the answer leaves.

        `subject` and `detail` hold no personal data: an id only as `hashed` gives it.
        """
        self.workspace.audit.record(grant.actor, action, project, subject, detail)

    def hashed(self, project: str, text: str) -> str:
        """What stands in the audit log for an id or for the text of a query."""
        return self.workspace.audit.hashed(project, text)

    def everywhere(self, grant: Grant) -> None:
        """Refuses keys of one project: what follows concerns all of them."""
        if grant.project is not None:
            raise Forbidden("only the installation's own secret key may do this", code="project_key")
