"""Backends that execute one run in isolation. One file a backend; they never import each other."""
