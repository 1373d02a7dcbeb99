"""Programs for the developers of the server: measurements and trials."""
