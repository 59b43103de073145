<<<<<<< HEAD
"""Published answers beside ours, as tables: ``python -m tests.known_answers bbbc021``."""
=======
"""What is known of real screens beforehand, beside what the analyses find: ``python -m tests.known_answers NAME``."""
>>>>>>> eight-b
