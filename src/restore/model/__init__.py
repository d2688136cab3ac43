"""The networks, the file that a trained one is kept in, and the engines that run it."""
