"""Billing's first tables."""

from alembic import op

from haven_kit import schema

revision = "0001"
down_revision = None

_TABLES = (
    "CREATE SEQUENCE claim_number",
    "CREATE SEQUENCE interchange_number MAXVALUE 999999999 CYCLE",
    """CREATE TABLE attendance (
    attendance_id UUID NOT NULL,
    person_id UUID NOT NULL,
    session_id UUID NOT NULL,
    service_date DATE NOT NULL,
    minutes INTEGER NOT NULL,
    PRIMARY KEY (attendance_id)
)""",
    "CREATE INDEX attendance_day ON attendance (person_id, service_date)",
    """CREATE TABLE charge (
    charge_id UUID NOT NULL,
    person_id UUID NOT NULL,
    service_date DATE NOT NULL,
    attended_minutes INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    payer_id UUID,
    coverage_id UUID,
    authorization_id UUID,
    hcpcs TEXT NOT NULL,
    revenue_code TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    claim_id UUID,
    version INTEGER NOT NULL,
    PRIMARY KEY (charge_id),
    CONSTRAINT charge_day UNIQUE (person_id, service_date)
)""",
    "CREATE INDEX ix_charge_claim_id ON charge (claim_id)",
    """CREATE TABLE claim (
    claim_id UUID NOT NULL,
    person_id UUID NOT NULL,
    coverage_id UUID NOT NULL,
    payer_id UUID NOT NULL,
    state TEXT NOT NULL,
    from_day DATE NOT NULL,
    to_day DATE NOT NULL,
    type_of_bill TEXT NOT NULL,
    total BIGINT NOT NULL,
    currency TEXT NOT NULL,
    control_number TEXT NOT NULL,
    submitted_at TIMESTAMP WITH TIME ZONE,
    paid BIGINT DEFAULT 0 NOT NULL,
    adjusted BIGINT DEFAULT 0 NOT NULL,
    person_owes BIGINT DEFAULT 0 NOT NULL,
    version INTEGER NOT NULL,
    sealed BYTEA NOT NULL,
    sealed_document BYTEA,
    PRIMARY KEY (claim_id),
    UNIQUE (control_number)
)""",
    "CREATE INDEX ix_claim_person_id ON claim (person_id)",
    """CREATE TABLE coverage (
    coverage_id UUID NOT NULL,
    person_id UUID NOT NULL,
    payer_id UUID NOT NULL,
    state TEXT NOT NULL,
    active_from DATE NOT NULL,
    active_to DATE,
    verified_at TIMESTAMP WITH TIME ZONE,
    version INTEGER NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (coverage_id)
)""",
    "CREATE INDEX ix_coverage_person_id ON coverage (person_id)",
    """CREATE TABLE discharge (
    admission_id UUID NOT NULL,
    discharged_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (admission_id)
)""",
    """CREATE TABLE journal (
    journal_id UUID NOT NULL,
    person_id UUID,
    kind TEXT NOT NULL,
    day DATE NOT NULL,
    posted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    charge_id UUID,
    claim_id UUID,
    remittance_id UUID,
    reverses_journal_id UUID,
    PRIMARY KEY (journal_id),
    UNIQUE (reverses_journal_id),
    FOREIGN KEY(reverses_journal_id) REFERENCES journal (journal_id)
)""",
    "CREATE INDEX ix_journal_person_id ON journal (person_id)",
    """CREATE TABLE plan (
    person_id UUID NOT NULL,
    admission_id UUID NOT NULL,
    track TEXT NOT NULL,
    days_per_week INTEGER NOT NULL,
    hours_per_week INTEGER NOT NULL,
    admitted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    discharged_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (person_id)
)""",
    """CREATE TABLE remittance (
    remittance_id UUID NOT NULL,
    payer_identifier TEXT NOT NULL,
    trace_number TEXT NOT NULL,
    content_hash BYTEA NOT NULL,
    unmatched INTEGER NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (remittance_id),
    CONSTRAINT remittance_trace UNIQUE (payer_identifier, trace_number)
)""",
    """CREATE TABLE payer_authorization (
    authorization_id UUID NOT NULL,
    person_id UUID NOT NULL,
    coverage_id UUID NOT NULL,
    days INTEGER NOT NULL,
    days_used INTEGER NOT NULL,
    valid_from DATE NOT NULL,
    valid_to DATE NOT NULL,
    warned_at TIMESTAMP WITH TIME ZONE,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (authorization_id),
    CONSTRAINT authorization_days CHECK (days_used BETWEEN 0 AND days),
    FOREIGN KEY(coverage_id) REFERENCES coverage (coverage_id)
)""",
    "CREATE INDEX ix_payer_authorization_person_id ON payer_authorization (person_id)",
    """CREATE TABLE posting (
    posting_id BIGINT GENERATED ALWAYS AS IDENTITY,
    journal_id UUID NOT NULL,
    account TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    person_id UUID,
    PRIMARY KEY (posting_id),
    CONSTRAINT posting_amount CHECK (amount <> 0),
    FOREIGN KEY(journal_id) REFERENCES journal (journal_id)
)""",
    "CREATE INDEX ix_posting_journal_id ON posting (journal_id)",
    "CREATE INDEX ix_posting_person_id ON posting (person_id)",
)

# The ledger keeps itself: entries are final, and no commit leaves a journal whose legs do not sum to zero.
_LEDGER = (
    """CREATE FUNCTION ledger_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a ledger entry is final; reverse it instead' USING ERRCODE = 'restrict_violation';
END $$""",
    """CREATE TRIGGER journal_is_final BEFORE UPDATE OR DELETE ON journal
FOR EACH ROW EXECUTE FUNCTION ledger_is_final()""",
    """CREATE TRIGGER posting_is_final BEFORE UPDATE OR DELETE ON posting
FOR EACH ROW EXECUTE FUNCTION ledger_is_final()""",
    "CREATE TRIGGER journal_is_kept BEFORE TRUNCATE ON journal FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_final()",
    "CREATE TRIGGER posting_is_kept BEFORE TRUNCATE ON posting FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_final()",
    """CREATE FUNCTION journal_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM posting WHERE journal_id = NEW.journal_id GROUP BY currency HAVING sum(amount) <> 0
    ) THEN
        RAISE EXCEPTION 'the legs of a journal do not sum to zero'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_balances';
    END IF;
    RETURN NULL;
END $$""",
    """CREATE CONSTRAINT TRIGGER journal_balances AFTER INSERT ON posting DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION journal_balances()""",
)


def upgrade() -> None:
    schema.create(op)
    for statement in (*_TABLES, *_LEDGER):
        op.execute(statement)
