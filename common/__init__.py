"""Shared library of the studies: description, mathematics, loop and edge, in four layers (see CONTRIBUTING.md)."""
