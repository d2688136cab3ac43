"""What a file is, what would be done with it, and what is wrong with it."""
