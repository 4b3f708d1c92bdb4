"""The merchandiser's console: read-only pages over the views, and the same pages in one file."""
