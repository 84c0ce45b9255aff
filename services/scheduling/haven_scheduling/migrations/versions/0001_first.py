"""Groups, series, sessions, seats, enrolments, agendas, availability, staff profiles, plans."""

from alembic import op

from haven_kit import schema

revision = "0001"
down_revision = None

STATEMENTS = """
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- Protobuf messages stand in details and pattern where they are about nobody, in sealed where they are about a person.
CREATE TABLE treatment_group (
    group_id UUID PRIMARY KEY,
    details BYTEA NOT NULL,
    track TEXT NOT NULL,
    kind SMALLINT NOT NULL,
    challenges TEXT[] NOT NULL,
    capacity INT NOT NULL CHECK (capacity > 0),
    facilitator_id TEXT NOT NULL,
    version INT NOT NULL
);
CREATE INDEX treatment_group_track ON treatment_group (track);

CREATE TABLE series (
    series_id UUID PRIMARY KEY,
    group_id UUID REFERENCES treatment_group,
    kind SMALLINT NOT NULL,
    pattern BYTEA NOT NULL,
    sealed BYTEA,
    person_ids UUID[] NOT NULL,
    facilitator_id TEXT NOT NULL,
    planned_through DATE NOT NULL,
    finished BOOLEAN NOT NULL,
    follows_series_id UUID REFERENCES series,
    version INT NOT NULL
);
CREATE INDEX series_group ON series (group_id);
CREATE INDEX series_person ON series USING gin (person_ids) WHERE NOT finished;
CREATE INDEX series_horizon ON series (planned_through) WHERE NOT finished;

CREATE TABLE session (
    session_id UUID PRIMARY KEY,
    series_id UUID REFERENCES series,
    group_id UUID REFERENCES treatment_group,
    kind SMALLINT NOT NULL,
    day DATE NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL CHECK (ends_at > starts_at),
    time_zone TEXT NOT NULL,
    facilitator_id TEXT NOT NULL,
    state SMALLINT NOT NULL,
    format SMALLINT NOT NULL,
    optional BOOLEAN NOT NULL,
    capacity INT NOT NULL,
    sealed BYTEA,
    version INT NOT NULL
);
CREATE INDEX session_series ON session (series_id, day);
CREATE INDEX session_group ON session (group_id, starts_at);
CREATE INDEX session_facilitator ON session (facilitator_id, starts_at);
CREATE INDEX session_ends ON session (ends_at);

-- Who is where: holder_kind 1 is a person, 2 a member of staff. Nobody is in two places at once.
CREATE TABLE seat (
    seat_id UUID PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES session,
    holder_kind SMALLINT NOT NULL,
    holder_id TEXT NOT NULL,
    enrolment_id UUID,
    during TSTZRANGE NOT NULL,
    released_at TIMESTAMPTZ,
    CONSTRAINT seat_nobody_twice EXCLUDE USING gist (holder_kind WITH =, holder_id WITH =, during WITH &&)
        WHERE (released_at IS NULL)
);
CREATE INDEX seat_session ON seat (session_id);
CREATE INDEX seat_holder ON seat (holder_id, holder_kind);

CREATE TABLE enrolment (
    enrolment_id UUID PRIMARY KEY,
    group_id UUID NOT NULL REFERENCES treatment_group,
    person_id UUID NOT NULL,
    state SMALLINT NOT NULL,
    asked_at TIMESTAMPTZ NOT NULL,
    enrolled_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX enrolment_once ON enrolment (group_id, person_id) WHERE ended_at IS NULL;
CREATE INDEX enrolment_person ON enrolment (person_id);

-- Seats that could not be taken when the calendar was extended.
CREATE TABLE clash (
    session_id UUID NOT NULL REFERENCES session,
    holder_id TEXT NOT NULL,
    PRIMARY KEY (session_id, holder_id)
);

CREATE TABLE agenda (
    session_id UUID PRIMARY KEY REFERENCES session,
    sealed BYTEA NOT NULL,
    version INT NOT NULL
);

CREATE TABLE availability (
    person_id UUID PRIMARY KEY,
    sealed BYTEA NOT NULL,
    time_zone TEXT NOT NULL,
    version INT NOT NULL
);

CREATE TABLE staff_profile (
    principal_id TEXT PRIMARY KEY,
    details BYTEA NOT NULL,
    accepts_new BOOLEAN NOT NULL,
    version INT NOT NULL
);

-- A copy of what intake tells: what the treatment plan asks for.
CREATE TABLE plan (
    person_id UUID PRIMARY KEY,
    admission_id UUID NOT NULL,
    track TEXT NOT NULL,
    days_per_week INT NOT NULL,
    hours_per_week INT NOT NULL,
    time_zone TEXT NOT NULL,
    admitted_at TIMESTAMPTZ NOT NULL,
    discharged_at TIMESTAMPTZ
);

-- States: of an enrolment 1 is active, 2 waiting, 3 ended; of a session 1 is planned, 2 cancelled.
CREATE VIEW group_counted AS
SELECT g.*,
    (SELECT count(*) FROM enrolment e WHERE e.group_id = g.group_id AND e.state = 1)::int AS seats_taken,
    (SELECT count(*) FROM enrolment e WHERE e.group_id = g.group_id AND e.state = 2)::int AS waiting
FROM treatment_group g;

CREATE VIEW enrolment_ranked AS
SELECT e.*, CASE WHEN e.state = 2 THEN (SELECT count(*) FROM enrolment w WHERE w.group_id = e.group_id AND w.state = 2
    AND (w.asked_at, w.enrolment_id) <= (e.asked_at, e.enrolment_id))::int ELSE 0 END AS waiting_position
FROM enrolment e;

-- A session with the words of its group or series and who has a seat; of a cancelled one, who had.
CREATE VIEW session_seated AS
SELECT s.*, g.details, r.sealed AS series_sealed, a.session_id IS NOT NULL AS has_agenda,
    ARRAY(SELECT DISTINCT holder_id FROM seat WHERE seat.session_id = s.session_id AND holder_kind = 1
        AND (released_at IS NULL OR s.state = 2) ORDER BY holder_id) AS person_ids
FROM session s
LEFT JOIN treatment_group g ON g.group_id = s.group_id
LEFT JOIN series r ON r.series_id = s.series_id
LEFT JOIN agenda a ON a.session_id = s.session_id;
"""


def upgrade() -> None:
    schema.create(op)
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
