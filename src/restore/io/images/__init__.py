"""Images, stacks, movies and maps on disk: MRC, TIFF and EER."""
