"""Following a session while it is collected."""
