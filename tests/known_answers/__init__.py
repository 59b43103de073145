"""Published answers beside ours, as tables: ``python -m tests.known_answers bbbc021``."""
