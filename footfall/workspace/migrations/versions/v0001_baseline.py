"""The tables as they were when versions of them began to be counted.

A home of before has some of them, or all, made without a version: those stay as they are, with what is in
them, and the rest is added, as the code of then did at each start.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from footfall.workspace.audit_wall import refuse_changes

revision = "0001"
down_revision = None


def upgrade() -> None:
    _make_projects()
    _make_keys()
    _make_records()
    _make_settings()
    refuse_changes(op.get_bind())


def _words(length: int | None = None) -> sa.types.TypeEngine[str]:
    sqlite = sa.Text() if length is None else sa.String(length)
    return sqlite.with_variant(sa.Text(collation="C"), "postgresql")


def _number() -> sa.types.TypeEngine[int]:
    return sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def _sequence() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _make_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("name", _words(64), primary_key=True),
        sa.Column("timezone", _words(64), nullable=False),
        sa.Column("week_start", _words(16), nullable=False),
        sa.Column("keyless", sa.Boolean(), nullable=False),
        sa.Column("identity_strategy", _words(32), nullable=False),
        sa.Column("identity_bindings", _words(32), nullable=False),
        sa.Column("shared_device_limit", _number(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "nobody_ids",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("id", _words(255), primary_key=True),
        sa.Column("place", _number(), nullable=False),
        sa.Column("identifies_nobody", sa.Boolean(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "identity_keys",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("name", _words(100), primary_key=True),
        sa.Column("place", _number(), nullable=False),
        sa.Column("takes", _words(8), nullable=False),
        sa.Column("parent", _words(100), nullable=True),
        sa.Column("most", _number(), nullable=True),
        sa.Column("overflow", _words(16), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "keeping",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("keep_days", _number(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "keep_rules",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("kind", _words(8), primary_key=True),
        sa.Column("name", _words(512), primary_key=True),
        sa.Column("keep_days", _number(), nullable=False),
        if_not_exists=True,
    )


def _make_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("sha256", _words(64), primary_key=True),
        sa.Column("kind", _words(8), sa.CheckConstraint("kind IN ('write', 'secret')"), nullable=False),
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), nullable=True),
        sa.Column("bootstrap", sa.Boolean(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "key_terms",
        sa.Column("sha256", _words(64), sa.ForeignKey("keys.sha256"), primary_key=True),
        sa.Column("name", _words(100), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("min_cell", _number(), nullable=True),
        if_not_exists=True,
    )
    op.create_table(
        "envelope_keys",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("name", _words(80), primary_key=True),
        sa.Column("algorithm", _words(8), nullable=False),
        sa.Column("version", _words(64), nullable=False),
        sa.Column("public_key", _words(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        if_not_exists=True,
    )


def _make_records() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", _words(32), primary_key=True),
        sa.Column("project", _words(64), nullable=False),
        sa.Column("state", _words(16), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("document", _words(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "holds",
        sa.Column("project", _words(64), primary_key=True),
        sa.Column("id_key", _words(20), primary_key=True),
        sa.Column("reason", _words(), nullable=False),
        sa.Column("actor", _words(128), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "audit",
        sa.Column("sequence", _sequence(), primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("actor", _words(), nullable=False),
        sa.Column("action", _words(), nullable=False),
        sa.Column("project", _words(64), nullable=False),
        sa.Column("subject", _words(), nullable=False),
        sa.Column("detail", _words(), nullable=False),
        sa.Column("previous", _words(64), nullable=False),
        sa.Column("mac", _words(64), nullable=False),
        if_not_exists=True,
    )
    op.create_index("ix_audit_action", "audit", ["action"], if_not_exists=True)


def _make_settings() -> None:
    op.create_table(
        "virtual_events",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("name", _words(128), primary_key=True),
        sa.Column("definition", _words(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "plan_versions",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("version", _number(), primary_key=True, autoincrement=False),
        sa.Column("plan", _words(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", _words(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "privacy_settings",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("settings", _words(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", _words(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "remote_configs",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("app_id", _words(255), primary_key=True),
        sa.Column("definition", _words(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", _words(), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "remote_config_proposals",
        sa.Column("project", _words(64), sa.ForeignKey("projects.name"), primary_key=True),
        sa.Column("app_id", _words(255), primary_key=True),
        sa.Column("id", _words(16), nullable=False),
        sa.Column("definition", _words(), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", _words(), nullable=False),
        if_not_exists=True,
    )
