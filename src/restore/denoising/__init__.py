"""From a raw micrograph, or a set of them, to the denoised ones."""
