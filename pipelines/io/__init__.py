"""What reads and writes: spool, lake, imports, tables."""
