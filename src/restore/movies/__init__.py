"""From the frames of a movie to two halves; from counts to two halves where there are no frames."""
