"""Pure array code: no Beam, no SQL, no network."""
