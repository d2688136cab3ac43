"""Results as STAR files: under RELION's names where RELION has any, else under ``restore…``."""
