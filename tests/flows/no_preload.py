"""What prepares a worker that is to compute nothing: nothing."""
