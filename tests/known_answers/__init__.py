"""What is known of real screens beforehand, beside what the analyses find: ``python -m tests.known_answers NAME``."""
