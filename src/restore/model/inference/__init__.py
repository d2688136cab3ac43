"""A trained network over whole images: in tiles, by the fastest engine that is here."""
