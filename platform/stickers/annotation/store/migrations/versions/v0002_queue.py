"""People, their sessions, jobs with seats, revisions of votes, and the log of what leads did."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

APPEND_ONLY = ("votes", "settings", "retirements", "events", "orders")


def upgrade() -> None:
    """Create the other tables, give votes a longer key, and make what was acknowledged append-only."""
    _votes()
    _people()
    _jobs()
    _trail()
    for table in APPEND_ONLY:
        _append_only(table)


def _votes() -> None:
    """Move the votes to a table whose key has a revision."""
    op.rename_table("votes", "votes_before")
    op.drop_index("ix_votes_plan_id", "votes_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE votes_before RENAME CONSTRAINT votes_pkey TO votes_before_pkey")
    op.create_table(
        "votes",
        sa.Column("job_id", sa.String(26), primary_key=True),
        sa.Column("annotator", sa.String(100), primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("plan_id", sa.String(26), nullable=False),
        sa.Column("shown", sa.JSON, nullable=False),
        sa.Column("shown_digests", sa.JSON, nullable=False),
        sa.Column("picks", sa.JSON, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("flagged", sa.JSON, nullable=False),
        sa.Column("flags", sa.JSON, nullable=False),
    )
    op.create_index("ix_votes_plan_id", "votes", ["plan_id"])
    op.create_index("votes_of", "votes", ["annotator", "submitted_at"])
    kept = (
        "job_id, annotator, round, plan_id, shown, shown_digests, picks, started_at, submitted_at, simulated"
    )
    op.execute(
        f"INSERT INTO votes ({kept}, revision, kind, flagged, flags) "
        f"SELECT {kept}, 0, 'choose', '[]', '[]' FROM votes_before"
    )
    op.drop_table("votes_before")


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("password", sa.String(200)),
        sa.Column("link", sa.String(64), unique=True),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(60), nullable=False, index=True),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.String(26), primary_key=True),
        sa.Column("uri", sa.String(1000), nullable=False),
        sa.Column("supersedes", sa.String(26), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("opened_at", sa.Float, nullable=False),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(26), primary_key=True),
        sa.Column("plan_id", sa.String(26), nullable=False, index=True),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("position", sa.Float, nullable=False),
        sa.Column("clips", sa.JSON, nullable=False),
        sa.Column("right", sa.JSON),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    seats = op.create_table(
        "seats",
        sa.Column("job_id", sa.String(26), primary_key=True),
        sa.Column("seat", sa.Integer, primary_key=True),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("position", sa.Float, nullable=False),
        sa.Column("holder", sa.String(60)),
        sa.Column("leased_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("answered", sa.Boolean, nullable=False),
        sa.UniqueConstraint("job_id", "holder", name="one_seat_a_person"),
    )
    waiting = ~seats.c.answered
    op.create_index(
        "open_seats",
        "seats",
        ["kind", "round", "position", "seat"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("held_seats", "seats", ["holder"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_table(
        "skips",
        sa.Column("job_id", sa.String(26), primary_key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def _trail() -> None:
    op.create_table(
        "settings",
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.String(60), nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
    )
    op.create_table(
        "retirements",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("retired", sa.Boolean, nullable=False),
        sa.Column("by", sa.String(60), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("who", sa.String(60), nullable=False),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.String(60), nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
    )


def _append_only(table: str) -> None:
    """Let triggers refuse to change or delete a row."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_stay() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{table} are append-only'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_stay()"
        )
        return
    for operation in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_stay_{operation.lower()} BEFORE {operation} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are append-only'); END"
        )
