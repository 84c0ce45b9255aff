"""Write docs/events.md, the catalogue of events, from the contracts and from what the services declare to react to.

`--check` writes nothing and fails when the committed catalogue is not what they say.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from haven_kit import consumer, contract, messaging, reactions, relay

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "docs" / "events.md"
DESCRIPTORS = ROOT / "libs" / "stubs" / "haven" / "descriptors.binpb"
ANY_SERVICE = "*"
_NAMES = descriptor_pb2.FieldDescriptorProto.Type.Name
_HEAD = """# Events

What the services tell each other. Made from the contracts by `make events`; do not edit by hand.

An event says that something has happened. It carries ids and facts, never health information: a contract that says
otherwise is refused at start-up.

## How events travel

- **Told with the change.** A command writes its events to the service's `outbox` table in the transaction that makes
  the change: no change without its event, no event without its change.
- **Stream.** After the commit a relay publishes them, those of one aggregate in order, to the JetStream stream of the
  service (`{stream}` for crisis). Streams keep them for {stream_days} days, the outbox for {outbox_days}: a stream
  that was lost is filled again with `haven events replay`.
- **At least once.** A consumer reacts in one transaction together with an `inbox` row for the event. An event that
  comes twice is done once; rows are kept for {inbox_days} days.
- **Order.** Events of one aggregate come in order while none of them fails and one replica consumes. Copies that depend
  on the order carry a `version`, and ignore a smaller one. There is no order between aggregates.
- **Failure.** A reaction that fails is tried {attempts} times in about {minutes} minutes (after {delays} s), and then
  becomes a dead letter: `haven events dead-letters list` shows it, `redrive` has it reacted to again. What cannot be
  reached now, or has too much to do, is waited for, however long it takes; and a call for help is tried until it is
  done. A message that was not answered for comes again after {ack_wait} s.

A subject is `haven.<service>.<aggregate>.<happened>.v<n>`. A field may be added; anything else is a new version with a
new subject, told beside the old one until nobody reacts to that.

## Headers

[CloudEvents 1.0](https://github.com/cloudevents/spec) in binary mode; the payload is the protobuf message.

| header | holds |
|---|---|
| `ce-specversion` | `1.0` |
| `ce-id` | the event's id (UUIDv7); also when it is published again |
| `ce-source` | `/haven/<service>` |
| `ce-type` | the subject |
| `ce-time` | when the transaction began that told it, UTC |
| `ce-partitionkey` | the aggregate's id; order is kept within it |
| `content-type` | `application/protobuf` |
| `traceparent` | W3C trace context: reactions are part of the trace of what caused them |
| `Nats-Msg-Id` | `ce-id`, with a number added at each replay: JetStream drops a second one within {window} s |

## Catalogue
"""


def main() -> int:
    """Write the catalogue, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    check = parser.parse_args().check
    wanted = catalogue()
    written = CATALOGUE.read_text(encoding="utf-8") if CATALOGUE.exists() else ""
    if check and wanted != written:
        print("docs/events.md is not what the contracts say; run `make events` and commit it", file=sys.stderr)
        return 1
    if not check:
        CATALOGUE.write_text(wanted, encoding="utf-8")
    return 0


def catalogue() -> str:
    """The whole page."""
    comments = _comments()
    reacting = reactors()
    events = contract.events()
    parts = [_head()]
    owners = sorted({subject.split(".")[1] for subject in events}, key=_place)
    for owner in owners:
        parts.append(f"\n### {'Every service' if owner == ANY_SERVICE else owner.capitalize()}\n")
        parts += [
            _entry(subject, event, comments, reacting)
            for subject, event in events.items()
            if subject.split(".")[1] == owner
        ]
    return "".join(parts)


def reactors() -> dict[str, dict[str, list[str]]]:
    """Who reacts to each subject: services by the reaction, from what the services declare."""
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for service in contract.SERVICES:
        declare = importlib.import_module(f"haven_{service}.reactions").reactions
        # Declaring only names events and handlers; what the handlers will use is not touched.
        stand_ins = (Mock() for _ in inspect.signature(declare).parameters)
        for reaction in declare(*stand_ins):
            shown = f"`{reaction.name}`, tried until it is done" if reaction.never_buried else f"`{reaction.name}`"
            found[reaction.subject][shown].append(service)
    return {subject: dict(names) for subject, names in found.items()}


def _head() -> str:
    return _HEAD.format(
        stream=messaging.stream_of("crisis"),
        stream_days=timedelta(seconds=messaging.MAX_AGE_S).days,
        outbox_days=relay.RETENTION.days,
        inbox_days=reactions.INBOX_RETENTION.days,
        attempts=reactions.ATTEMPTS,
        minutes=round(sum(reactions.DELAYS_S) / 60),
        delays=", ".join(f"{each:g}" for each in reactions.DELAYS_S),
        ack_wait=f"{consumer.ACK_WAIT_S:g}",
        window=messaging.DUPLICATE_WINDOW_S,
    )


def _place(owner: str) -> int:
    return contract.SERVICES.index(owner) if owner in contract.SERVICES else len(contract.SERVICES)


def _entry(
    subject: str, event: type[Message], comments: dict[str, str], reacting: dict[str, dict[str, list[str]]]
) -> str:
    descriptor = event.DESCRIPTOR
    names = reacting.get(subject, {})
    who = "; ".join(f"{', '.join(services)} ({name})" for name, services in names.items()) or "nobody yet"
    lines = [f"\n#### `{subject}`\n", f"\n`{descriptor.full_name}`. {comments[descriptor.full_name]}\n"]
    lines += [f"\nReacting: {who}.\n", "\n| field | type | |\n|---|---|---|\n"]
    for field in descriptor.fields:
        text = comments.get(f"{descriptor.full_name}.{field.name}", "")
        lines.append(f"| `{field.name}` | {_type(field)} | {text.replace('|', chr(92) + '|')} |\n")
    return "".join(lines)


def _type(field: Any) -> str:
    if field.message_type is not None:
        name = str(field.message_type.full_name).removeprefix("google.protobuf.")
    else:
        name = _NAMES(field.type).removeprefix("TYPE_").lower()
    return f"list of {name}" if field.is_repeated else name


def _comments() -> dict[str, str]:
    """The comment of each message and field of the contracts, on one line, by full name."""
    found: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        for place in file.source_code_info.location:
            text = " ".join(place.leading_comments.split())
            match list(place.path):
                case [4, message] if text:
                    found[f"{file.package}.{file.message_type[message].name}"] = text
                case [4, message, 2, field] if text:
                    parent = file.message_type[message]
                    found[f"{file.package}.{parent.name}.{parent.field[field].name}"] = text
    return found


if __name__ == "__main__":
    sys.exit(main())
