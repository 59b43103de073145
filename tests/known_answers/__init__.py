"""Known answers: what is published or planted, and what comes out here, as tables."""
