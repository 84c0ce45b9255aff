"""A small contract made in memory: notes about people, with one method of each kind."""

from __future__ import annotations

from typing import Any

from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from haven.options.v1 import options_pb2

PACKAGE = "haven.notes.v1"
SERVICE = f"{PACKAGE}.NoteService"
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING


def _message(file: descriptor_pb2.FileDescriptorProto, name: str, *fields: str) -> descriptor_pb2.DescriptorProto:
    message = file.message_type.add(name=name)
    for number, field in enumerate(fields, start=1):
        message.field.add(name=field, number=number, type=_STRING, label=1, json_name=field)
    return message


def _method(
    service: descriptor_pb2.ServiceDescriptorProto,
    name: str,
    verb: str,
    path: str,
    *roles: options_pb2.Role.ValueType,
    **more: Any,
) -> None:
    method = service.method.add(
        name=name,
        input_type=f".{PACKAGE}.{name}Request",
        output_type=f".{PACKAGE}.Note",
        server_streaming=more.get("streaming", False),
    )
    setattr(method.options.Extensions[annotations_pb2.http], verb, path)
    access = method.options.Extensions[options_pb2.access]
    access.roles.extend(roles)
    access.services.extend(more.get("services", ()))
    access.relations.append(options_pb2.RELATION_CARE_TEAM)
    access.seen_as = "read your note"


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="haven/notes/v1/notes.proto", package=PACKAGE, syntax="proto3")
    file.dependency.extend(
        ["buf/validate/validate.proto", "google/api/annotations.proto", "haven/options/v1/options.proto"]
    )
    note = _message(file, "Note", "note_id", "text")
    note.field[1].options.Extensions[options_pb2.phi] = options_pb2.PHI_HEALTH
    for name in ("WriteNote", "ReadNote", "WatchNotes", "CountNotes"):
        request = _message(file, f"{name}Request", "person_id", "text")
        request.field[0].options.Extensions[validate_pb2.field].string.uuid = True
        request.field[1].options.Extensions[validate_pb2.field].string.max_len = 20
        request.field[1].options.Extensions[options_pb2.phi] = options_pb2.PHI_HEALTH
    _message(file, "StrayRequest", "text")
    service = file.service.add(name="NoteService")
    prescriber, biller = options_pb2.ROLE_PRESCRIBER, options_pb2.ROLE_BILLER
    _method(service, "WriteNote", "post", "/v1/notes", prescriber)
    _method(service, "ReadNote", "get", "/v1/notes/{note_id}", prescriber, biller)
    _method(service, "WatchNotes", "get", "/v1/notes:watch", prescriber, streaming=True)
    _method(service, "CountNotes", "get", "/v1/notes:count", services=("billing",))
    _method(service, "Stray", "post", "/v1/stray", prescriber)
    return file


_pool = descriptor_pool.Default()
_pool.AddSerializedFile(_file().SerializeToString())


def _class(name: str) -> type[Message]:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))


Note = _class("Note")
WriteNoteRequest = _class("WriteNoteRequest")
ReadNoteRequest = _class("ReadNoteRequest")
WatchNotesRequest = _class("WatchNotesRequest")
CountNotesRequest = _class("CountNotesRequest")
StrayRequest = _class("StrayRequest")
