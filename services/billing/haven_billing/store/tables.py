"""Billing's tables. Health information is in `sealed` columns; what queries and the database's own checks need stands
beside it."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData()


def _id() -> Uuid[str]:
    return Uuid(as_uuid=False)


def _moment() -> DateTime:
    return DateTime(timezone=True)


plans = Table(
    "plan",
    metadata,
    Column("person_id", _id(), primary_key=True),
    Column("admission_id", _id(), nullable=False),
    Column("track", Text, nullable=False),
    Column("days_per_week", Integer, nullable=False),
    Column("hours_per_week", Integer, nullable=False),
    Column("admitted_at", _moment(), nullable=False),
    Column("discharged_at", _moment()),
)
discharges = Table(
    "discharge",
    metadata,
    Column("admission_id", _id(), primary_key=True),
    Column("discharged_at", _moment(), nullable=False),
)
coverages = Table(
    "coverage",
    metadata,
    Column("coverage_id", _id(), primary_key=True),
    Column("person_id", _id(), nullable=False, index=True),
    Column("payer_id", _id(), nullable=False),
    Column("state", Text, nullable=False),
    Column("active_from", Date, nullable=False),
    Column("active_to", Date),
    Column("verified_at", _moment()),
    Column("version", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
authorizations = Table(
    "payer_authorization",
    metadata,
    Column("authorization_id", _id(), primary_key=True),
    Column("person_id", _id(), nullable=False, index=True),
    Column("coverage_id", _id(), ForeignKey("coverage.coverage_id"), nullable=False),
    Column("days", Integer, nullable=False),
    Column("days_used", Integer, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("warned_at", _moment()),
    Column("sealed", LargeBinary, nullable=False),
    # The last authorized day cannot be used twice, whatever the code does.
    CheckConstraint("days_used BETWEEN 0 AND days", name="authorization_days"),
)
attendances = Table(
    "attendance",
    metadata,
    Column("attendance_id", _id(), primary_key=True),
    Column("person_id", _id(), nullable=False),
    Column("session_id", _id(), nullable=False),
    Column("service_date", Date, nullable=False),
    Column("minutes", Integer, nullable=False),
    Index("attendance_day", "person_id", "service_date"),
)
charges = Table(
    "charge",
    metadata,
    Column("charge_id", _id(), primary_key=True),
    Column("person_id", _id(), nullable=False),
    Column("service_date", Date, nullable=False),
    Column("attended_minutes", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payer_id", _id()),
    Column("coverage_id", _id()),
    Column("authorization_id", _id()),
    Column("hcpcs", Text, nullable=False),
    Column("revenue_code", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("claim_id", _id(), index=True),
    Column("version", Integer, nullable=False),
    # One person, one day, one per-diem.
    UniqueConstraint("person_id", "service_date", name="charge_day"),
)
claims = Table(
    "claim",
    metadata,
    Column("claim_id", _id(), primary_key=True),
    Column("person_id", _id(), nullable=False, index=True),
    Column("coverage_id", _id(), nullable=False),
    Column("payer_id", _id(), nullable=False),
    Column("state", Text, nullable=False),
    Column("from_day", Date, nullable=False),
    Column("to_day", Date, nullable=False),
    Column("type_of_bill", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("control_number", Text, nullable=False, unique=True),
    Column("submitted_at", _moment()),
    Column("paid", BigInteger, nullable=False, server_default=text("0")),
    Column("adjusted", BigInteger, nullable=False, server_default=text("0")),
    Column("person_owes", BigInteger, nullable=False, server_default=text("0")),
    Column("version", Integer, nullable=False),
    # A ClaimDraft: what the claim says of the person, as it was when the claim was built.
    Column("sealed", LargeBinary, nullable=False),
    # A ClaimDocument, once submitted.
    Column("sealed_document", LargeBinary),
)
claim_numbers = Sequence("claim_number", metadata=metadata)
interchange_numbers = Sequence("interchange_number", maxvalue=999_999_999, cycle=True, metadata=metadata)
remittances = Table(
    "remittance",
    metadata,
    Column("remittance_id", _id(), primary_key=True),
    Column("payer_identifier", Text, nullable=False),
    Column("trace_number", Text, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("unmatched", Integer, nullable=False),
    Column("read_at", _moment(), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("payer_identifier", "trace_number", name="remittance_trace"),
)
journals = Table(
    "journal",
    metadata,
    Column("journal_id", _id(), primary_key=True),
    Column("person_id", _id(), index=True),
    Column("kind", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("posted_at", _moment(), nullable=False),
    Column("charge_id", _id()),
    Column("claim_id", _id()),
    Column("remittance_id", _id()),
    # At most one reversal of each journal.
    Column("reverses_journal_id", _id(), ForeignKey("journal.journal_id"), unique=True),
)
postings = Table(
    "posting",
    metadata,
    Column("posting_id", BigInteger, Identity(always=True), primary_key=True),
    Column("journal_id", _id(), ForeignKey("journal.journal_id"), nullable=False, index=True),
    Column("account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("person_id", _id(), index=True),
    CheckConstraint("amount <> 0", name="posting_amount"),
)
