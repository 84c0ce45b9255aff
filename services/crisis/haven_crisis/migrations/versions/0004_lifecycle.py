"""Co-signature, debrief, observers, the timeline's chain.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """ALTER TABLE alert
        ADD COLUMN offered_to TEXT NOT NULL DEFAULT '',
        ADD COLUMN observers TEXT[] NOT NULL DEFAULT '{}',
        ADD COLUMN lease_renewed BOOLEAN NOT NULL DEFAULT FALSE,
        ADD COLUMN co_signature SMALLINT NOT NULL DEFAULT 0""",
    # What is due after closing. What is written with it is on the timeline, sealed.
    """CREATE TABLE review (
        review_id UUID PRIMARY KEY,
        alert_id UUID NOT NULL REFERENCES alert,
        person_id UUID NOT NULL,
        kind SMALLINT NOT NULL,
        state SMALLINT NOT NULL,
        asked_of TEXT NOT NULL,
        due_at TIMESTAMPTZ NOT NULL,
        done_by TEXT NOT NULL DEFAULT '',
        done_at TIMESTAMPTZ
    )""",
    "CREATE UNIQUE INDEX review_open ON review (alert_id, kind) WHERE done_at IS NULL",
    "CREATE INDEX review_due ON review (due_at) WHERE state = 1",
    "CREATE INDEX review_order ON review (due_at, review_id)",
    "ALTER TABLE follow_up ADD COLUMN attempts INT NOT NULL DEFAULT 0",
    "ALTER TABLE break_glass ADD COLUMN review_due_at TIMESTAMPTZ, ADD COLUMN told_late BOOLEAN NOT NULL DEFAULT FALSE",
    "UPDATE break_glass SET review_due_at = used_at + interval '72 hours'",
    "CREATE INDEX break_glass_due ON break_glass (review_due_at) WHERE reviewed_by = ''",
    "ALTER TABLE timeline ADD COLUMN hash BYTEA",
    # No part but the last can hold a line break, so that no two entries give the same text.
    r"""CREATE FUNCTION timeline_hash(previous BYTEA, entry timeline) RETURNS BYTEA LANGUAGE sql STABLE AS $$
        SELECT sha256(previous || convert_to(concat_ws(E'\n', entry.alert_id, entry.seq, entry.entry_id, entry.kind,
            (extract(epoch FROM entry.at) * 1000000)::bigint, COALESCE(entry.signal_id::text, ''),
            COALESCE(encode(entry.sealed, 'hex'), ''), entry.facts, entry.actor), 'UTF8'))
    $$""",
    # Whoever writes an entry need not know of the chain. A missing predecessor stops no entry: the auditor finds it.
    """CREATE FUNCTION timeline_is_chained() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        previous BYTEA;
    BEGIN
        IF NEW.seq > 1 THEN
            SELECT hash INTO previous FROM timeline WHERE alert_id = NEW.alert_id AND seq = NEW.seq - 1;
        END IF;
        NEW.hash := timeline_hash(COALESCE(previous, ''::bytea), NEW);
        RETURN NEW;
    END $$""",
    "ALTER TABLE timeline DISABLE TRIGGER timeline_is_final",
    """DO $$
    DECLARE
        entry timeline;
        previous BYTEA;
    BEGIN
        FOR entry IN SELECT * FROM timeline ORDER BY alert_id, seq LOOP
            IF entry.seq = 1 THEN
                previous := ''::bytea;
            END IF;
            previous := timeline_hash(previous, entry);
            UPDATE timeline SET hash = previous WHERE alert_id = entry.alert_id AND seq = entry.seq;
        END LOOP;
    END $$""",
    "ALTER TABLE timeline ENABLE TRIGGER timeline_is_final",
    """CREATE TRIGGER timeline_is_chained BEFORE INSERT ON timeline
    FOR EACH ROW EXECUTE FUNCTION timeline_is_chained()""",
)


def upgrade() -> None:
    """Expand the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
