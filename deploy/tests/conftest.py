"""Tests that need a container engine (`make kube-test`) or a control plane (`make cluster-test`).

They are no part of `make test`.
"""
