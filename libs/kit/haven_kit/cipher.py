"""Health information sealed for storage: authenticated encryption with keysets that rotate, by Google Tink.

A blob opens only as the message type and in the context it was sealed with: no row can be passed off as another.
The keyset file is JSON with two Tink keysets, `seal` (AEAD) and `blind` (PRF): `{"seal": {...}, "blind": {...}}`, each
wrapped by the key in the KEK file (a Tink AEAD keyset), or in clear text for development.
"""

import json
import os
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import tink
from google.protobuf.message import Message
from tink import aead, prf, secret_key_access
from tink.proto import tink_pb2

M = TypeVar("M", bound=Message)

BLIND_BYTES: Final = 16
"""Length of a blind index, in bytes."""

_SEAL_TEMPLATE: Final = aead.aead_key_templates.XAES_256_GCM_192_BIT_NONCE
_BLIND_TEMPLATE: Final = prf.prf_key_templates.HMAC_SHA256
_TINK_PREFIX: Final = b"\x01"  # of every Tink ciphertext; the four bytes after it are the key's id

aead.register()
prf.register()


class CannotOpen(Exception):
    """The blob was sealed with another key, as another type, or in another context, or it was changed."""


class KeysetRefused(Exception):
    """The keyset file cannot be used. The message says why and holds nothing of the keys."""


class Cipher:
    """Seals and opens messages, and makes keyed hashes to search by."""

    def __init__(self, seal: tink.KeysetHandle, blind: tink.KeysetHandle) -> None:
        self._aead = seal.primitive(aead.Aead)
        self._prfs = blind.primitive(prf.PrfSet)
        self._prefix = _TINK_PREFIX + seal.keyset_info().primary_key_id.to_bytes(4, "big")

    @classmethod
    def load(cls, keyset_file: Path, kek_file: Path | None = None) -> Self:
        """Reads the keys. Raises KeysetRefused for files that are missing, damaged, or wrapped by another key."""
        return cls(*_read(keyset_file, kek_file))

    def seal(self, message: Message, context: str) -> bytes:
        """The message, encrypted. `context` says where it belongs, such as `referral/<id>`; it is bound, not stored."""
        return self.seal_bytes(message.SerializeToString(), _of_type(message, context))

    def open(self, kind: type[M], blob: bytes, context: str) -> M:
        """The message behind a blob. Raises CannotOpen for anything but what `seal` made for this type and context."""
        return kind.FromString(self.open_bytes(blob, _of_type(kind, context)))

    def seal_bytes(self, plain: bytes, context: str) -> bytes:
        """Bytes, encrypted."""
        return bytes(self._aead.encrypt(plain, context.encode()))

    def open_bytes(self, blob: bytes, context: str) -> bytes:
        """The bytes behind a blob. Raises CannotOpen as `open` does."""
        try:
            return bytes(self._aead.decrypt(bytes(blob), context.encode()))
        except tink.TinkError:
            raise CannotOpen(f"sealed with another key, type or context than {context}") from None

    def needs_reseal(self, blob: bytes) -> bool:
        """Whether the blob was sealed with a key that is no longer the primary one."""
        return not blob.startswith(self._prefix)

    def blind(self, purpose: str, text: str) -> bytes:
        """A keyed hash of the text, the same each time, different for each purpose. The caller normalises the text.

        Rotation of this key asks for new hashes of all rows: until they are made, search with `blinds`.
        """
        return bytes(self._prfs.primary().compute(_of_purpose(purpose, text), BLIND_BYTES))

    def blinds(self, purpose: str, text: str) -> list[bytes]:
        """The keyed hashes of the text under every key of the set, the primary one's first."""
        primary = self._prfs.primary_id()
        in_order = sorted(self._prfs.all().items(), key=lambda entry: entry[0] != primary)
        return [bytes(each.compute(_of_purpose(purpose, text), BLIND_BYTES)) for _, each in in_order]


def create_kek(path: Path) -> None:
    """Write a new key to wrap keyset files with. It is to be kept apart from them."""
    handle = tink.new_keyset_handle(_SEAL_TEMPLATE)
    _write(path, tink.json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN))


def create_keyset(path: Path, kek_file: Path | None = None) -> None:
    """Write a new keyset file; without a KEK in clear text, for development. Never replaces one: FileExistsError."""
    if path.exists():
        raise FileExistsError(path)
    _save(path, tink.new_keyset_handle(_SEAL_TEMPLATE), tink.new_keyset_handle(_BLIND_TEMPLATE), kek_file)


def rotate(path: Path, kek_file: Path | None = None) -> None:
    """Add a new sealing key and make it the primary one. Older keys stay, so that what they sealed still opens."""
    seal, blind = _read(path, kek_file)
    _save(path, _with_new_primary(seal), blind, kek_file)


def add_key(path: Path, kek_file: Path | None = None) -> None:
    """Add a sealing key that opens and does not seal yet. Once every process has the file, `promote_key` it."""
    seal, blind = _read(path, kek_file)
    keyset = _to_proto(seal)
    added = _to_proto(tink.new_keyset_handle(_SEAL_TEMPLATE))
    while added.primary_key_id in {key.key_id for key in keyset.key}:
        added = _to_proto(tink.new_keyset_handle(_SEAL_TEMPLATE))
    keyset.key.extend(added.key)
    _save(path, _from_proto(keyset), blind, kek_file)


def promote_key(path: Path, kek_file: Path | None = None) -> None:
    """Make the sealing key that was added last the primary one, which seals from then on."""
    seal, blind = _read(path, kek_file)
    keyset = _to_proto(seal)
    keyset.primary_key_id = keyset.key[-1].key_id
    _save(path, _from_proto(keyset), blind, kek_file)


def rotate_blind(path: Path, kek_file: Path | None = None) -> None:
    """Add a new key for blind indexes and make it the primary one."""
    seal, blind = _read(path, kek_file)
    _save(path, seal, _with_new_primary(blind, _BLIND_TEMPLATE), kek_file)


def rewrap(path: Path, kek_file: Path | None, new_kek_file: Path) -> None:
    """Wrap the keyset file with another KEK. The keys in it stay the same."""
    _save(path, *_read(path, kek_file), new_kek_file)


def _with_new_primary(handle: tink.KeysetHandle, template: tink_pb2.KeyTemplate = _SEAL_TEMPLATE) -> tink.KeysetHandle:
    old = _to_proto(handle)
    new = _to_proto(tink.new_keyset_handle(template))
    while new.primary_key_id in {key.key_id for key in old.key}:
        new = _to_proto(tink.new_keyset_handle(template))
    new.key.extend(old.key)
    return _from_proto(new)


def _from_proto(keyset: Any) -> tink.KeysetHandle:
    return tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)


def _to_proto(handle: tink.KeysetHandle) -> Any:
    return tink_pb2.Keyset.FromString(tink.proto_keyset_format.serialize(handle, secret_key_access.TOKEN))


def _read(path: Path, kek_file: Path | None) -> tuple[tink.KeysetHandle, tink.KeysetHandle]:
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        seal, blind = (json.dumps(parts[name]) for name in ("seal", "blind"))
        if kek_file is None:
            read = tink.json_proto_keyset_format.parse
            return read(seal, secret_key_access.TOKEN), read(blind, secret_key_access.TOKEN)
        kek = _kek(kek_file)
        unwrap = tink.json_proto_keyset_format.parse_encrypted
        return unwrap(seal, kek, b"seal"), unwrap(blind, kek, b"blind")
    except OSError as error:
        raise KeysetRefused(f"keyset file: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise KeysetRefused('keyset file: not of the form {"seal": {...}, "blind": {...}}') from None
    except tink.TinkError:
        raise KeysetRefused("keyset file: damaged, or wrapped by another key than the one given") from None


def _kek(path: Path) -> aead.Aead:
    text = path.read_text(encoding="utf-8")
    return tink.json_proto_keyset_format.parse(text, secret_key_access.TOKEN).primitive(aead.Aead)


def _save(path: Path, seal: tink.KeysetHandle, blind: tink.KeysetHandle, kek_file: Path | None) -> None:
    if kek_file is None:
        texts = [tink.json_proto_keyset_format.serialize(each, secret_key_access.TOKEN) for each in (seal, blind)]
    else:
        kek = _kek(kek_file)
        wrap = tink.json_proto_keyset_format.serialize_encrypted
        texts = [wrap(seal, kek, b"seal"), wrap(blind, kek, b"blind")]
    _write(path, json.dumps({"seal": json.loads(texts[0]), "blind": json.loads(texts[1])}, indent=1))


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.touch(mode=0o600)
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _of_type(kind: Message | type[Message], context: str) -> str:
    return f"{kind.DESCRIPTOR.full_name}\0{context}"


def _of_purpose(purpose: str, text: str) -> bytes:
    return f"{len(purpose)}:{purpose}:{text}".encode()
