"""Generate libs/stubs from protos/: message and gRPC modules with types, the descriptor set, the caller allow-list.

`--check` writes nothing and fails when what is committed is not what protos/ says.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from google.rpc import status_pb2
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "libs" / "stubs"
PACKAGES = ("haven", "buf")
SHOWN = 10
VALIDATE = "buf/validate/validate.proto"


def main() -> int:
    """Generate, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        wanted = generate(Path(scratch))
        drift = [path for path, content in sorted(wanted.items()) if _read(STUBS / path) != content]
        stale = [path for path in _present() if path not in wanted]
    if check:
        differing = [*drift, *stale]
        for path in differing[:SHOWN]:
            print(f"libs/stubs/{path} is not what protos/ says", file=sys.stderr)
        if differing:
            print(f"{len(differing)} files differ; run `make protos` and commit libs/stubs", file=sys.stderr)
        return 1 if differing else 0
    for path in drift:
        _write(STUBS / path, wanted[path])
    for path in stale:
        (STUBS / path).unlink()
    print(f"protos: {len(wanted)} files, {len(drift)} written, {len(stale)} removed")
    return 0


def generate(scratch: Path) -> dict[Path, bytes]:
    """Everything that libs/stubs should hold, by path inside it. `scratch` is an empty folder."""
    out = scratch / "out"
    out.mkdir()
    validate = scratch / "validate.binpb"
    validate.write_bytes(_validate_descriptor())
    sources = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))
    descriptors = scratch / "descriptors.binpb"
    _protoc(validate, "--include_imports", "--include_source_info", f"--descriptor_set_out={descriptors}", *sources)
    _protoc(
        validate,
        f"--python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet,only_async:{out}",
        *sources,
        VALIDATE,
    )
    _drop_modules_without_services(out)
    for package in {path.parent for path in out.rglob("*.py")}:
        for folder in (package, *package.parents):
            if folder.is_relative_to(out) and folder != out:
                (folder / "__init__.py").touch()
    for package_name in PACKAGES:
        (out / package_name / "py.typed").touch()
    (out / "haven" / "descriptors.binpb").write_bytes(_lean(descriptors.read_bytes()))
    (out / "haven" / "callers.json").write_text(json.dumps(callers(), indent=2) + "\n")
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def callers() -> dict[str, list[str]]:
    """Who may call whom: the name of each service with the services that name it in their `[tool.haven] calls`."""
    calls: dict[str, list[str]] = {}
    for path in sorted((ROOT / "services").glob("*/pyproject.toml")):
        declared = tomllib.loads(path.read_text()).get("tool", {}).get("haven", {}).get("calls")
        if declared is None:
            raise SystemExit(
                f"{path.relative_to(ROOT)} does not say whom the service calls: [tool.haven] calls = [...]"
            )
        calls[path.parent.name] = declared
    unknown = {each for declared in calls.values() for each in declared} - set(calls)
    if unknown:
        raise SystemExit(f"[tool.haven] calls names what is no service: {', '.join(sorted(unknown))}")
    return {name: sorted(caller for caller, called in calls.items() if name in called) for name in sorted(calls)}


def _validate_descriptor() -> bytes:
    """The descriptor of protovalidate's rules, as a set with what it imports; the library ships no .proto file."""
    with tempfile.TemporaryDirectory() as scratch:
        imports = Path(scratch) / "imports.binpb"
        wanted = ("descriptor", "duration", "field_mask", "timestamp")
        _run_protoc(f"--descriptor_set_out={imports}", *(f"google/protobuf/{name}.proto" for name in wanted))
        files = descriptor_pb2.FileDescriptorSet.FromString(imports.read_bytes())
    files.file.append(descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary()))
    return files.SerializeToString(deterministic=True)


def _protoc(validate: Path, *arguments: str) -> None:
    # With a descriptor set given, protoc takes imports from it first; files named on the command line come from disk.
    _run_protoc(f"--descriptor_set_in={validate}", *arguments)


def _run_protoc(*arguments: str) -> None:
    includes = [PROTOS, Path(grpc_tools.__file__).parent / "_proto", Path(status_pb2.__file__).parents[2]]
    scripts = Path(sys.executable).parent
    plugins = [f"--plugin=protoc-gen-{name}={scripts}/protoc-gen-{name}" for name in ("mypy", "mypy_grpc")]
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{path}" for path in includes), *plugins, *arguments]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit("protoc refused the contracts; see above")


def _drop_modules_without_services(out: Path) -> None:
    for path in out.rglob("*_pb2_grpc.py"):
        if "class " not in path.read_text():
            path.unlink()
            path.with_suffix(".pyi").unlink(missing_ok=True)


def _lean(descriptors: bytes) -> bytes:
    """The set with comments kept for our own files only, which the gateway shows as documentation."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors)
    for each in files.file:
        if not each.name.startswith("haven/"):
            each.ClearField("source_code_info")
    return files.SerializeToString(deterministic=True)


def _present() -> list[Path]:
    found = (path for package in PACKAGES for path in (STUBS / package).rglob("*") if path.is_file())
    return sorted(path.relative_to(STUBS) for path in found if "__pycache__" not in path.parts)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".new")
    scratch.write_bytes(content)
    shutil.move(scratch, path)


if __name__ == "__main__":
    sys.exit(main())
