"""Tests that start servers of their own on this machine (`make test-clusters`, no part of `make test`)."""
