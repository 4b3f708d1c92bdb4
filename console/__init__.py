"""The merchandiser's web pages: read-only, of the views alone."""
