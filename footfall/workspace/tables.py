"""The workspace's tables, in the words of SQLAlchemy Core."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
)

from footfall.workspace.words import Words, number

metadata = MetaData()

projects = Table(
    "projects",
    metadata,
    Column("name", Words(64), primary_key=True),
    Column("timezone", Words(64), nullable=False),
    Column("week_start", Words(16), nullable=False),
    Column("keyless", Boolean, nullable=False),
    Column("identity_strategy", Words(32), nullable=False),
    Column("identity_bindings", Words(32), nullable=False),
    Column("shared_device_limit", number(), nullable=False),
)

# What a project changes about the list of ids that identify nobody (footfall/events/nobody.py).
nobody_ids = Table(
    "nobody_ids",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("id", Words(255), primary_key=True),
    Column("place", number(), nullable=False),  # in the order in which they were given
    Column("identifies_nobody", Boolean, nullable=False),  # else it is taken off the list
)

# The identity keys of projects with the strategy `global`; the first has the highest priority.
identity_keys = Table(
    "identity_keys",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("name", Words(100), primary_key=True),
    Column("place", number(), nullable=False),
    Column("takes", Words(8), nullable=False),  # values of a person: one, many
    Column("parent", Words(100), nullable=True),
    Column("most", number(), nullable=True),
    Column("overflow", Words(16), nullable=False),
)

# How long a project keeps its events; without a row, for ever.
keeping = Table(
    "keeping",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("keep_days", number(), nullable=False),
)

# What of it goes earlier: events of a name, values of properties of a grade.
keep_rules = Table(
    "keep_rules",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("kind", Words(8), primary_key=True),  # event, grade
    Column("name", Words(512), primary_key=True),
    Column("keep_days", number(), nullable=False),
)

# Erasures of persons, as footfall/workspace/erasures.py reads them: no id in clear.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Words(32), primary_key=True),
    Column("project", Words(64), nullable=False),
    Column("state", Words(16), nullable=False),
    Column("asked_at", BigInteger, nullable=False),  # epoch milliseconds
    Column("document", Words(), nullable=False),
)

# Legal holds: of a project (id_key 0) or of the person of an id, by its keyed hash.
holds = Table(
    "holds",
    metadata,
    Column("project", Words(64), primary_key=True),
    Column("id_key", Words(20), primary_key=True),  # unsigned 64 bits, as text
    Column("reason", Words(), nullable=False),
    Column("actor", Words(128), nullable=False),
    Column("since", BigInteger, nullable=False),  # epoch milliseconds
)

# A key itself is shown once and never kept: only its SHA-256. Keys are random and long, so no salt is needed.
keys = Table(
    "keys",
    metadata,
    Column("sha256", Words(64), primary_key=True),
    Column("kind", Words(8), CheckConstraint("kind IN ('write', 'secret')"), nullable=False),
    Column("project", ForeignKey("projects.name"), nullable=True),  # NULL: every project
    Column(
        "bootstrap", Boolean, nullable=False
    ),  # from FOOTFALL_WRITE_KEY and FOOTFALL_SECRET_KEY, or generated
)

# What keys were made for that a project got later; a row beside one of `keys`.
key_terms = Table(
    "key_terms",
    metadata,
    Column("sha256", ForeignKey("keys.sha256"), primary_key=True),
    Column("name", Words(100), nullable=False),
    Column("created_at", BigInteger, nullable=False),  # epoch milliseconds
    Column("expires_at", BigInteger, nullable=True),  # epoch milliseconds; NULL: never
    Column("min_cell", number(), nullable=True),  # fewer persons than this are hidden from it; NULL: none are
)

# Append-only; see footfall/workspace/audit.py. Triggers refuse to change or delete rows.
audit = Table(
    "audit",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),  # epoch milliseconds
    Column("actor", Words(), nullable=False),
    Column("action", Words(), nullable=False, index=True),
    Column("project", Words(64), nullable=False),  # "" for all; outlives the project
    Column("subject", Words(), nullable=False),
    Column("detail", Words(), nullable=False),  # canonical JSON
    Column("previous", Words(64), nullable=False),
    Column("mac", Words(64), nullable=False),
)

# A name for several selectors; `definition` is the JSON that the query API checked and reads again.
virtual_events = Table(
    "virtual_events",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("name", Words(128), primary_key=True),
    Column("definition", Words(), nullable=False),
    Column("created_at", BigInteger, nullable=False),  # epoch milliseconds
)

# Tracking plans: every version that ever counted, as footfall.tracking_plan.writing writes it. Rows are never
# changed; the highest version counts.
plan_versions = Table(
    "plan_versions",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("version", number(), primary_key=True, autoincrement=False),
    Column("plan", Words(), nullable=False),
    Column("changed_at", BigInteger, nullable=False),  # epoch milliseconds
    Column("changed_by", Words(), nullable=False),
)

# What a project has set about privacy; without a row, the defaults of footfall.privacy.settings.
privacy_settings = Table(
    "privacy_settings",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("settings", Words(), nullable=False),  # JSON
    Column("changed_at", BigInteger, nullable=False),  # epoch milliseconds
    Column("changed_by", Words(), nullable=False),
)

# What apps are told when they ask for their configuration; "" as app: all that have none of their own.
remote_configs = Table(
    "remote_configs",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("app_id", Words(255), primary_key=True),
    Column("definition", Words(), nullable=False),  # JSON
    Column("changed_at", BigInteger, nullable=False),  # epoch milliseconds
    Column("changed_by", Words(), nullable=False),
)

# Changes of it that wait until somebody else approves them.
remote_config_proposals = Table(
    "remote_config_proposals",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("app_id", Words(255), primary_key=True),
    Column("id", Words(16), nullable=False),
    Column("definition", Words(), nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("proposed_by", Words(), nullable=False),
)

# What envelopes are sealed to. `sealed`: the private part, under the installation's key; NULL: retired.
envelope_keys = Table(
    "envelope_keys",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("name", Words(80), primary_key=True),  # "sm2-3"
    Column("algorithm", Words(8), nullable=False),
    Column("version", Words(64), nullable=False),  # the `pkv` or `key_id` of envelopes
    Column("public_key", Words(), nullable=False),
    Column("sealed", LargeBinary, nullable=True),
    Column("current", Boolean, nullable=False),  # remote configuration publishes it
    Column("created_at", BigInteger, nullable=False),  # these three in epoch milliseconds
    Column("published_at", BigInteger, nullable=True),
    Column("retired_at", BigInteger, nullable=True),
)

# What must run once in the installation, and who runs it; see footfall/workspace/leases.py.
leases = Table(
    "leases",
    metadata,
    Column("name", Words(64), primary_key=True),
    Column("holder", Words(), nullable=False),
    Column("until", BigInteger, nullable=False),  # epoch milliseconds; 0: given back
    Column("fence", BigInteger, nullable=False),
)
