"""A session that is followed while it is collected."""
