"""Out of the database and back: files, formats, proof, increments, followers."""
