"""How work is run: jobs, reading ahead, several processes, precision, memory."""
