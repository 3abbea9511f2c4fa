"""The release groups of this project: one module each, with a `Graph` named `graph`."""
