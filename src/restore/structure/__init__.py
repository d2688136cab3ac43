"""Raw and denoised images of the same particles, compared by the structures that they give."""
