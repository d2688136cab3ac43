"""Identification of files: their type, what restore would do with them, and their problems."""
