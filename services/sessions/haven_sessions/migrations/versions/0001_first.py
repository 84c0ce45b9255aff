"""The first tables of sessions."""

from alembic import op

from haven_kit import schema

revision = "0001"
down_revision = None

_TABLES = (
    # What scheduling told of a session: a copy, as of `version`.
    """CREATE TABLE session (
    session_id UUID PRIMARY KEY,
    kind TEXT NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL,
    time_zone TEXT NOT NULL,
    facilitator_id TEXT NOT NULL,
    cancelled BOOLEAN NOT NULL,
    version BIGINT NOT NULL
)""",
    "CREATE INDEX session_ends ON session (ends_at)",
    # Cancellations that came before the session itself.
    "CREATE TABLE early_cancellation (session_id UUID PRIMARY KEY, version BIGINT NOT NULL)",
    """CREATE TABLE seat (
    session_id UUID NOT NULL,
    enrolment_id UUID NOT NULL,
    person_id UUID NOT NULL,
    PRIMARY KEY (session_id, enrolment_id, person_id)
)""",
    "CREATE INDEX seat_person ON seat (person_id, session_id)",
    # One row a room: the lock that puts its events in order. Its state is the fold of room_event.
    """CREATE TABLE room (
    session_id UUID PRIMARY KEY,
    life TEXT NOT NULL,
    last_seq BIGINT NOT NULL,
    sealed_agenda BYTEA
)""",
    "CREATE INDEX room_open ON room (session_id) WHERE life = 'open'",
    """CREATE TABLE room_event (
    session_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT NOT NULL,
    data JSONB NOT NULL,
    everyone BOOLEAN NOT NULL,
    member_ids UUID[] NOT NULL,
    PRIMARY KEY (session_id, seq)
)""",
    # Who has ever been in the room. What they see begins with the event since_seq.
    """CREATE TABLE member (
    member_id UUID PRIMARY KEY,
    session_id UUID NOT NULL,
    principal_id TEXT NOT NULL,
    person_id UUID,
    place TEXT NOT NULL,
    since_seq BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL,
    UNIQUE (session_id, principal_id)
)""",
    "CREATE INDEX member_seen ON member (seen_at) WHERE place = 'in'",
    """CREATE TABLE agreement_acceptance (
    principal_id TEXT NOT NULL,
    agreement_id TEXT NOT NULL,
    accepted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (principal_id, agreement_id)
)""",
    "CREATE TABLE message (message_id UUID PRIMARY KEY, session_id UUID NOT NULL, sealed BYTEA NOT NULL)",
    """CREATE TABLE help_call (
    signal_id UUID PRIMARY KEY,
    person_id UUID NOT NULL,
    session_id UUID NOT NULL,
    raised_at TIMESTAMPTZ NOT NULL,
    shown BOOLEAN NOT NULL,
    withdrawn_at TIMESTAMPTZ,
    withdrawal_due_at TIMESTAMPTZ,
    sealed_note BYTEA
)""",
    "CREATE INDEX help_call_due ON help_call (withdrawal_due_at) WHERE withdrawal_due_at IS NOT NULL",
    """CREATE TABLE attendance (
    attendance_id UUID PRIMARY KEY,
    session_id UUID NOT NULL,
    person_id UUID NOT NULL,
    kind TEXT NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL,
    service_date DATE NOT NULL,
    facilitator_id TEXT NOT NULL,
    minutes INT NOT NULL,
    intervals TIMESTAMPTZ[] NOT NULL,
    version INT NOT NULL,
    UNIQUE (session_id, person_id)
)""",
    "CREATE INDEX attendance_person ON attendance (person_id, starts_at, attendance_id)",
    """CREATE TABLE attendance_correction (
    correction_id UUID PRIMARY KEY,
    attendance_id UUID NOT NULL REFERENCES attendance,
    minutes_before INT NOT NULL,
    minutes_after INT NOT NULL,
    reason TEXT NOT NULL,
    corrected_by TEXT NOT NULL,
    corrected_at TIMESTAMPTZ NOT NULL
)""",
    "CREATE INDEX attendance_correction_of ON attendance_correction (attendance_id, corrected_at)",
    """CREATE TABLE rating (
    session_id UUID NOT NULL,
    person_id UUID NOT NULL,
    rated_at TIMESTAMPTZ NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (session_id, person_id)
)""",
)


def upgrade() -> None:
    schema.create(op)
    for statement in _TABLES:
        op.execute(statement)
