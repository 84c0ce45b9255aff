"""The first tables of crisis.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from alembic import op

from haven_kit import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE signal (
        signal_id UUID PRIMARY KEY,
        person_id UUID NOT NULL,
        source SMALLINT NOT NULL,
        principal_id TEXT NOT NULL,
        raised_at TIMESTAMPTZ NOT NULL,
        accepted_at TIMESTAMPTZ NOT NULL
    )""",
    """CREATE TABLE alert (
        alert_id UUID PRIMARY KEY,
        person_id UUID NOT NULL,
        drill BOOLEAN NOT NULL,
        state SMALLINT NOT NULL,
        severity SMALLINT NOT NULL,
        raised_at TIMESTAMPTZ NOT NULL,
        next_deadline TIMESTAMPTZ,
        stage INT NOT NULL,
        cycle INT NOT NULL,
        seq INT NOT NULL,
        session_id UUID,
        facilitator_id TEXT NOT NULL,
        responder_id TEXT NOT NULL,
        acknowledged_at TIMESTAMPTZ,
        contacted_at TIMESTAMPTZ,
        closed_at TIMESTAMPTZ,
        follow_up_id UUID,
        withdrawn BOOLEAN NOT NULL,
        signals INT NOT NULL,
        cycle_signal_id UUID NOT NULL,
        traceparent TEXT NOT NULL,
        changed_at TIMESTAMPTZ NOT NULL,
        CONSTRAINT open_alert_has_a_deadline CHECK ((state = 6) = (next_deadline IS NULL))
    )""",
    "CREATE UNIQUE INDEX alert_open ON alert (person_id, drill) WHERE state <> 6",
    "CREATE INDEX alert_due ON alert (next_deadline) WHERE state <> 6",
    "CREATE INDEX alert_person ON alert (person_id, raised_at)",
    "CREATE INDEX alert_newest ON alert (raised_at, alert_id)",
    "CREATE INDEX alert_changed ON alert (changed_at)",
    """CREATE TABLE timeline (
        alert_id UUID NOT NULL REFERENCES alert,
        seq INT NOT NULL,
        entry_id UUID NOT NULL,
        kind SMALLINT NOT NULL,
        at TIMESTAMPTZ NOT NULL,
        actor TEXT NOT NULL,
        facts JSONB NOT NULL,
        sealed BYTEA,
        signal_id UUID,
        PRIMARY KEY (alert_id, seq)
    )""",
    "CREATE UNIQUE INDEX timeline_signal ON timeline (signal_id) WHERE signal_id IS NOT NULL",
    """CREATE FUNCTION timeline_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'a timeline entry is final';
    END $$""",
    """CREATE TRIGGER timeline_is_final BEFORE UPDATE OR DELETE ON timeline
    FOR EACH ROW EXECUTE FUNCTION timeline_is_final()""",
    """CREATE TABLE page (
        page_id UUID PRIMARY KEY,
        alert_id UUID NOT NULL REFERENCES alert,
        cycle INT NOT NULL,
        stage INT NOT NULL,
        responder_id TEXT NOT NULL,
        place SMALLINT NOT NULL,
        channel TEXT NOT NULL,
        attempt SMALLINT NOT NULL,
        state SMALLINT NOT NULL,
        resent BOOLEAN NOT NULL,
        due_at TIMESTAMPTZ NOT NULL,
        lease_until TIMESTAMPTZ,
        worker TEXT NOT NULL,
        traceparent TEXT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        accepted_at TIMESTAMPTZ,
        failure TEXT NOT NULL,
        CONSTRAINT page_once UNIQUE (alert_id, cycle, stage, responder_id, place, attempt)
    )""",
    "CREATE INDEX page_open ON page (due_at) WHERE state IN (1, 2)",
    "CREATE INDEX page_responder ON page (responder_id, alert_id)",
    """CREATE TABLE follow_up (
        follow_up_id UUID PRIMARY KEY,
        alert_id UUID NOT NULL REFERENCES alert,
        person_id UUID NOT NULL,
        responder_id TEXT NOT NULL,
        state SMALLINT NOT NULL,
        due_at TIMESTAMPTZ NOT NULL,
        recorded_by TEXT NOT NULL,
        recorded_at TIMESTAMPTZ,
        new_alert_id UUID,
        sealed BYTEA
    )""",
    "CREATE INDEX follow_up_due ON follow_up (due_at) WHERE state = 1",
    "CREATE INDEX follow_up_order ON follow_up (due_at, follow_up_id)",
    """CREATE TABLE break_glass (
        break_glass_id UUID PRIMARY KEY,
        alert_id UUID NOT NULL REFERENCES alert,
        person_id UUID NOT NULL,
        principal_id TEXT NOT NULL,
        used_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        reviewed_by TEXT NOT NULL,
        reviewed_at TIMESTAMPTZ,
        justified BOOLEAN NOT NULL,
        sealed BYTEA NOT NULL
    )""",
    "CREATE INDEX break_glass_use ON break_glass (alert_id, principal_id)",
    "CREATE INDEX break_glass_order ON break_glass (used_at, break_glass_id)",
    """CREATE TABLE person_record (
        person_id UUID NOT NULL,
        kind TEXT NOT NULL,
        version BIGINT NOT NULL,
        updated_at TIMESTAMPTZ NOT NULL,
        sealed BYTEA NOT NULL,
        PRIMARY KEY (person_id, kind)
    )""",
    """CREATE TABLE presence (
        person_id UUID PRIMARY KEY,
        session_id UUID NOT NULL,
        facilitator_id TEXT NOT NULL,
        present BOOLEAN NOT NULL,
        changed_at TIMESTAMPTZ NOT NULL
    )""",
    """CREATE TABLE responder (
        responder_id TEXT PRIMARY KEY,
        version INT NOT NULL,
        sealed BYTEA NOT NULL
    )""",
    """CREATE TABLE rotation (
        rotation_id UUID PRIMARY KEY,
        version INT NOT NULL,
        body BYTEA NOT NULL
    )""",
    """CREATE TABLE policy (
        policy_id UUID PRIMARY KEY,
        version INT NOT NULL,
        is_default BOOLEAN NOT NULL,
        body BYTEA NOT NULL
    )""",
    "CREATE UNIQUE INDEX policy_default ON policy (is_default) WHERE is_default",
    # One row; counts every change to responders, rotations and policies, so that a replica sees that its copy is old.
    "CREATE TABLE on_call_version (one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), version BIGINT NOT NULL)",
    "INSERT INTO on_call_version (version) VALUES (1)",
)


def upgrade() -> None:
    """Create the kit's tables and ours."""
    schema.create(op)
    for statement in STATEMENTS:
        op.execute(statement)
