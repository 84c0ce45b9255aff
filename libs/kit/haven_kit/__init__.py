"""What every Haven service needs that is not its domain."""

import os

# gRPC's core writes plain lines to stderr, among them ordinary connection ends; logs here are JSON.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
