"""The files of RELION: micrographs, particles, tilt series, motion, jobs."""
