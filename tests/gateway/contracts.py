"""The contract that the gateway is tried on, compiled in memory; and its message classes."""

from functools import cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from grpc_tools import protoc

HERE = Path(__file__).parent
_FILES = ("haven/probe/v1/shapes.proto", "haven/probe/v1/probe_service.proto", "haven/crisis/v1/crisis_service.proto")


@cache
def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """What protoc says about the test contract, with source info, on top of the real contracts' options."""
    with TemporaryDirectory() as scratch, resources.as_file(resources.files("haven") / "descriptors.binpb") as real:
        out = Path(scratch) / "out.binpb"
        status = protoc.main(
            [
                "protoc",
                f"--descriptor_set_in={_options_only(real, Path(scratch))}",
                f"--proto_path={HERE / 'protos'}",
                "--include_imports",
                "--include_source_info",
                f"--descriptor_set_out={out}",
                *_FILES,
            ]
        )
        assert status == 0
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def _options_only(real: Path, scratch: Path) -> Path:
    everything = descriptor_pb2.FileDescriptorSet.FromString(real.read_bytes())
    shared = ("google/", "buf/", "haven/options/")
    kept = descriptor_pb2.FileDescriptorSet(file=[f for f in everything.file if f.name.startswith(shared)])
    have = {f.name for f in kept.file}
    default = descriptor_pool.Default()
    for name in ("struct", "wrappers", "empty", "field_mask", "duration", "timestamp"):
        path = f"google/protobuf/{name}.proto"
        if path not in have:
            __import__(f"google.protobuf.{name}_pb2")
            default.FindFileByName(path).CopyToProto(kept.file.add())
    target = scratch / "options.binpb"
    target.write_bytes(kept.SerializeToString())
    return target


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """A pool with the test contract."""
    made = descriptor_pool.DescriptorPool()
    for file in descriptor_set().file:
        made.Add(file)
    return made


def descriptor(name: str) -> Descriptor:
    """A message type of the test contract, such as `Thing`."""
    return pool().FindMessageTypeByName(f"haven.probe.v1.{name}")


def message(name: str) -> type[Message]:
    """A message class of the test contract."""
    return message_factory.GetMessageClass(descriptor(name))
