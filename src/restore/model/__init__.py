"""The networks, the model file, and the engines that run a trained network."""
