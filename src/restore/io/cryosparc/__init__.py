"""cryoSPARC's files: ``.cs`` tables, the ``.csg`` groups that join them, and the exposures and
particles in them.
"""
