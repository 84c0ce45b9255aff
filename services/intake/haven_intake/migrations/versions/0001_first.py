"""Intake's first tables."""

from alembic import op

from haven_kit import schema

revision = "0001"
down_revision = None

_TABLES = (
    # Health information is in `sealed`; what queries need stands beside it.
    """CREATE TABLE person (
    person_id UUID PRIMARY KEY,
    state TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    version INT NOT NULL,
    card_version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
)""",
    "CREATE INDEX person_state ON person (state, person_id)",
    # Keyed hashes of what two records of one person would share.
    """CREATE TABLE person_key (
    person_id UUID NOT NULL REFERENCES person ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    blind BYTEA NOT NULL,
    PRIMARY KEY (purpose, blind, person_id)
)""",
    "CREATE INDEX person_key_person ON person_key (person_id)",
    """CREATE TABLE referral (
    referral_id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES person,
    own_person_id UUID NOT NULL REFERENCES person,
    source_key BYTEA UNIQUE,
    content_hash BYTEA,
    state TEXT NOT NULL,
    possible_duplicate BOOLEAN NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    version INT NOT NULL,
    sealed BYTEA NOT NULL
)""",
    "CREATE INDEX referral_person ON referral (person_id)",
    "CREATE INDEX referral_state ON referral (state, referral_id)",
    # One record of a kind that someone has: preferences of a person, the story of a couple.
    """CREATE TABLE document (
    owner_id UUID NOT NULL,
    kind TEXT NOT NULL,
    version INT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (owner_id, kind)
)""",
    """CREATE TABLE consent (
    consent_id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES person,
    kind TEXT NOT NULL,
    grantee_id TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    ended BOOLEAN NOT NULL,
    sealed BYTEA NOT NULL
)""",
    "CREATE INDEX consent_person ON consent (person_id, consent_id)",
    "CREATE INDEX consent_expires ON consent (expires_at) WHERE NOT ended AND expires_at IS NOT NULL",
    """CREATE TABLE screening (
    screening_id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES person,
    instrument_id TEXT NOT NULL,
    scored_at TIMESTAMPTZ,
    sealed BYTEA NOT NULL
)""",
    "CREATE INDEX screening_person ON screening (person_id, screening_id)",
    # Answers that call for help, until crisis has said that it has them.
    """CREATE TABLE concern (
    signal_id UUID PRIMARY KEY,
    person_id UUID NOT NULL,
    screening_id UUID NOT NULL,
    raised_at TIMESTAMPTZ NOT NULL,
    traceparent TEXT NOT NULL,
    try_at TIMESTAMPTZ NOT NULL,
    attempts INT NOT NULL DEFAULT 0,
    accepted_at TIMESTAMPTZ
)""",
    "CREATE INDEX concern_waiting ON concern (try_at) WHERE accepted_at IS NULL",
    """CREATE TABLE link (
    link_id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES person,
    linked_person_id UUID NOT NULL REFERENCES person,
    kind TEXT NOT NULL,
    linked_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    version INT NOT NULL,
    CONSTRAINT link_two_people CHECK (person_id <> linked_person_id)
)""",
    """CREATE UNIQUE INDEX link_pair ON link (LEAST(person_id, linked_person_id), GREATEST(person_id, linked_person_id))
    WHERE ended_at IS NULL""",
    "CREATE INDEX link_person ON link (person_id)",
    "CREATE INDEX link_linked ON link (linked_person_id)",
    """CREATE TABLE admission (
    admission_id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES person,
    admitted_at TIMESTAMPTZ NOT NULL,
    discharged_at TIMESTAMPTZ,
    version INT NOT NULL,
    sealed BYTEA NOT NULL
)""",
    "CREATE UNIQUE INDEX admission_open ON admission (person_id) WHERE discharged_at IS NULL",
    "CREATE INDEX admission_person ON admission (person_id, admitted_at)",
    """CREATE TABLE check_in (
    check_in_id UUID PRIMARY KEY,
    person_id UUID NOT NULL REFERENCES person,
    sealed BYTEA NOT NULL
)""",
    "CREATE INDEX check_in_person ON check_in (person_id, check_in_id)",
    # Who has seen whose data, from the audit chains of all services.
    """CREATE TABLE data_access (
    access_id UUID PRIMARY KEY,
    person_id UUID NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    principal_id TEXT NOT NULL,
    role TEXT NOT NULL,
    what TEXT NOT NULL,
    service TEXT NOT NULL,
    break_glass BOOLEAN NOT NULL
)""",
    "CREATE INDEX data_access_person ON data_access (person_id, at DESC, access_id DESC)",
    """CREATE TABLE staff (
    principal_id TEXT PRIMARY KEY,
    name TEXT NOT NULL
)""",
)


def upgrade() -> None:
    """Create the tables."""
    schema.create(op)
    for statement in _TABLES:
        op.execute(statement)
