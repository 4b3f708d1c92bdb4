"""One module a page: its questions, and the blocks made of their answers. No SQL elsewhere."""
