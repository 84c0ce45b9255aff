"""Tests that need a container engine: `make kube-test`. They are no part of `make test`."""
