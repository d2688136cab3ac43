"""Running of long work: jobs, reading ahead, several processes, precision, memory."""
