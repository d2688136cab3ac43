"""Two halves from the frames of a movie or, without frames, from electron counts."""
