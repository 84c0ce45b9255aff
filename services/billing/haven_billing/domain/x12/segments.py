"""X12 interchanges as segments (ASC X12.5, X12.6): delimiters, envelope with control numbers, characters, amounts.

Everything written here uses one set of delimiters. What is read takes its delimiters from its own ISA segment.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from haven_billing.domain.rules import broken

ELEMENT, COMPONENT, REPETITION, TERMINATOR = "*", ":", "^", "~"

Segment = tuple[str, ...]
"""Elements; the first is the segment's id."""

_ISA_LENGTH = 106
_ISA_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
# The basic and extended character sets of X12.6, without the delimiters in use and without lower case.
_ALLOWED = re.compile(r"[A-Z0-9 !\"&'()+,\-./;?=%@\[\]_{}\\|<>#$]*")
_DELIMITERS = str.maketrans(dict.fromkeys(ELEMENT + COMPONENT + REPETITION + TERMINATOR, " "))
# The guides allow ten digits in an amount; a few more are read, not so many that sums could overflow.
_AMOUNT = re.compile(r"-?[0-9]{0,12}(\.[0-9]{0,2})?")
_WITHOUT_DECOMPOSITION = str.maketrans(
    {"ß": "ss", "Æ": "AE", "æ": "ae", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Œ": "OE", "œ": "oe"}
    | {"’": "'", "‘": "'", "–": "-", "—": "-"}
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom, and the numbers that make an interchange one of a kind."""

    sender_id: str
    receiver_id: str
    control_number: int
    """1 to 999,999,999; used for interchange, group and transaction set."""
    written_at: datetime
    production: bool


def text(field: str, value: str, maximum: int, *, required: bool = True) -> str:
    """A value as X12 can carry it: upper case, accents folded, delimiters turned into spaces, cut to the longest
    allowed.

    Raises RuleBroken naming the field when nothing is left of a required value, or when letters remain that X12 has no
    character for.
    """
    folded = unicodedata.normalize("NFKD", value.translate(_WITHOUT_DECOMPOSITION))
    plain = "".join(c for c in folded if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
    cleaned = " ".join(plain.translate(_DELIMITERS).upper().split())[:maximum].strip()
    if not _ALLOWED.fullmatch(cleaned):
        raise broken(field, "x12_characters", "This needs Latin letters, as printed on the insurance card.")
    if required and not cleaned:
        raise broken(field, "required", "This is needed on a claim.")
    return cleaned


def amount(minor_units: int) -> str:
    """An amount with two decimals at most and no trailing zeros, as X12 asks of type R."""
    sign = "-" if minor_units < 0 else ""
    whole, cents = divmod(abs(minor_units), 100)
    return f"{sign}{whole}.{cents:02d}".rstrip("0").rstrip(".") if cents else f"{sign}{whole}"


def minor_units(field: str, value: str) -> int:
    """The minor units of an amount. Raises RuleBroken naming the field."""
    if not _AMOUNT.fullmatch(value) or not any(c.isdigit() for c in value):
        raise broken(field, "amount", "This is not an amount with at most two decimals.")
    whole, _, cents = value.lstrip("-").partition(".")
    units = int(whole or "0") * 100 + int(cents.ljust(2, "0") or "0")
    return -units if value.startswith("-") else units


def day(value: date) -> str:
    """A date as CCYYMMDD."""
    return value.strftime("%Y%m%d")


def read_day(field: str, value: str) -> date:
    """The date of CCYYMMDD. Raises RuleBroken naming the field."""
    try:
        if len(value) != 8:
            raise ValueError(value)
        return date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError:
        raise broken(field, "date", "This is not a date of eight digits.") from None


def composite(*components: str) -> str:
    """Components as one element."""
    return COMPONENT.join(components).rstrip(COMPONENT)


def write(envelope: Envelope, group: str, transaction: str, guide: str, body: Iterable[Segment]) -> str:
    """One interchange with one group and one transaction set: `group` is GS01, `transaction` ST01, `guide` GS08."""
    if not 0 < envelope.control_number <= 999_999_999:
        raise broken("control_number", "range", "The control number must have nine digits at most.")
    control, at = f"{envelope.control_number:09d}", envelope.written_at
    sender = text("sender_id", envelope.sender_id, 15)
    receiver = text("receiver_id", envelope.receiver_id, 15)
    inner = list(body)
    isa = ("00", "", "00", "", "ZZ", sender, "ZZ", receiver, at.strftime("%y%m%d"), at.strftime("%H%M"), REPETITION,
           "00501", control, "0", "P" if envelope.production else "T", COMPONENT)  # fmt: skip
    segments: list[Segment] = [
        ("ISA", *(value.ljust(width) for value, width in zip(isa, _ISA_WIDTHS, strict=True))),
        ("GS", group, sender, receiver, day(at.date()), at.strftime("%H%M"), str(envelope.control_number), "X", guide),
        ("ST", transaction, control, guide),
        *inner,
        ("SE", str(len(inner) + 2), control),
        ("GE", "1", str(envelope.control_number)),
        ("IEA", "1", control),
    ]
    return "".join(_line(segment) + "\n" for segment in segments)


def read(interchange: str) -> list[Segment]:
    """The segments of one transaction set, ST and SE left out.

    Raises RuleBroken when envelope, counts or control numbers do not agree, or when there is more than one transaction
    set.
    """
    content = interchange.strip("\ufeff \r\n\t")
    if not content.startswith("ISA") or len(content) < _ISA_LENGTH:
        raise broken("ISA", "envelope", "This does not begin with an ISA segment of 106 characters.")
    element, terminator = content[3], content[105]
    if element.isalnum() or terminator.isalnum() or element == terminator:
        raise broken("ISA", "envelope", "This does not name its delimiters.")
    raw = (part.strip("\r\n") for part in content.split(terminator))
    segments: list[Segment] = [tuple(part.split(element)) for part in raw if part.strip()]
    return _checked(segments)


def component_separator(interchange: str) -> str:
    """The delimiter of components that an interchange names in ISA16."""
    return interchange.strip("\ufeff \r\n\t")[104]


def element(segment: Sequence[str], position: int) -> str:
    """An element by its X12 position, empty when the segment is shorter."""
    return segment[position].strip() if position < len(segment) else ""


def _line(segment: Segment) -> str:
    if segment[0] == "ISA":
        return ELEMENT.join(segment) + TERMINATOR
    return ELEMENT.join(segment).rstrip(ELEMENT) + TERMINATOR


def _checked(segments: list[Segment]) -> list[Segment]:
    ids = [segment[0] for segment in segments]
    if ids[:3] != ["ISA", "GS", "ST"] or ids[-3:] != ["SE", "GE", "IEA"]:
        raise broken("ISA", "envelope", "The envelope is not ISA, GS, ST … SE, GE, IEA.")
    if any(ids.count(name) > 1 for name in ("ISA", "GS", "ST")):
        raise broken("ST", "one_payment", "This holds more than one payment; send one at a time.")
    pairs = (("ISA", 0, 13, -1, 2), ("GS", 1, 6, -2, 2), ("ST", 2, 2, -3, 2))
    for name, opening, opened, closing, closed in pairs:
        if element(segments[opening], opened) != element(segments[closing], closed):
            raise broken(name, "control_number", "Control numbers of head and tail differ.")
    if element(segments[-3], 1) != str(len(segments) - 4):
        raise broken("SE", "segment_count", "The number of segments differs from the one given.")
    return segments[3:-3]
