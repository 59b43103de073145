"""Attacks on the real parts: each test is one thing that nobody must be able to do. docs/security.md lists them."""
