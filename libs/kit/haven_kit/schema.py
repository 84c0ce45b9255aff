"""The kit's own tables, the same in every service's database. A service's first migration calls `create(op)`.

A later change to them is a further function here, called by a further migration of each service.
"""

from __future__ import annotations

from alembic.operations import Operations

TABLES = frozenset(
    {"outbox", "inbox", "dead_letter", "idempotency", "audit_entry", "care_team", "person_link", "consent_in_force"}
)
"""Names of the kit's tables, for comparing a service's own tables with its database."""

_FIRST = """
-- Events that a command told, written in its transaction. The relay publishes them; the rows stay for replay.
CREATE TABLE outbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id UUID NOT NULL UNIQUE,
    key TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload BYTEA NOT NULL,
    traceparent TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    published_at TIMESTAMPTZ,
    replays INT NOT NULL DEFAULT 0
);
CREATE INDEX outbox_unpublished ON outbox (seq) WHERE published_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

-- Events that were reacted to: twice delivered is once done.
CREATE TABLE inbox (
    event_id UUID NOT NULL,
    reaction TEXT NOT NULL,
    done_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (event_id, reaction)
);
CREATE INDEX inbox_done ON inbox (done_at);

-- Events that could not be reacted to after the last attempt, until someone drives them again.
CREATE TABLE dead_letter (
    event_id UUID NOT NULL,
    reaction TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload BYTEA NOT NULL,
    headers JSONB NOT NULL,
    attempts INT NOT NULL,
    error TEXT NOT NULL,
    died_at TIMESTAMPTZ NOT NULL,
    redrive BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (event_id, reaction)
);

-- What was answered to a command that named an idempotency key.
CREATE TABLE idempotency (
    principal_id TEXT NOT NULL,
    method TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    response BYTEA NOT NULL,
    answered_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (principal_id, method, key)
);
CREATE INDEX idempotency_answered ON idempotency (answered_at);

-- Who looked at or changed which record. Sealed into a hash chain within a second of its commit.
CREATE TABLE audit_entry (
    entry_id UUID PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    principal_id TEXT NOT NULL,
    role TEXT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    seen_as TEXT NOT NULL,
    person_id TEXT NOT NULL,
    break_glass BOOLEAN NOT NULL,
    trace_id TEXT NOT NULL,
    seq BIGINT UNIQUE,
    hash BYTEA
);
CREATE INDEX audit_entry_unsealed ON audit_entry (entry_id) WHERE seq IS NULL;
CREATE INDEX audit_entry_person ON audit_entry (person_id, at);
CREATE FUNCTION audit_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.seq IS NULL AND (to_jsonb(OLD) - 'seq' - 'hash') = (to_jsonb(NEW) - 'seq' - 'hash') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an audit entry is final';
END $$;
CREATE TRIGGER audit_entry_is_final BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_is_final();

-- Who stands in which relation to whom: intake's truth, everyone else's copy.
CREATE TABLE care_team (
    person_id UUID NOT NULL,
    principal_id TEXT NOT NULL,
    role TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (person_id, principal_id, role)
);
CREATE INDEX care_team_principal ON care_team (principal_id);
CREATE TABLE person_link (
    link_id UUID PRIMARY KEY,
    person_id UUID NOT NULL,
    linked_person_id UUID NOT NULL,
    kind TEXT NOT NULL,
    ended BOOLEAN NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX person_link_person ON person_link (person_id);
CREATE INDEX person_link_linked ON person_link (linked_person_id);
CREATE TABLE consent_in_force (
    consent_id UUID PRIMARY KEY,
    person_id UUID NOT NULL,
    kind TEXT NOT NULL,
    grantee_id TEXT NOT NULL,
    revoked BOOLEAN NOT NULL
);
CREATE INDEX consent_in_force_person ON consent_in_force (person_id, kind);
"""


def create(op: Operations) -> None:
    """Create the kit's tables."""
    for statement in _statements(_FIRST):
        op.execute(statement)


def _statements(script: str) -> list[str]:
    # The driver takes one statement a call; only the function body holds semicolons inside a statement.
    parts: list[str] = []
    open_body = ""
    for piece in script.split(";\n"):
        open_body = f"{open_body};\n{piece}" if open_body else piece
        if open_body.count("$$") % 2 == 0:
            parts.append(open_body)
            open_body = ""
    return [part for part in parts if part.strip()]
