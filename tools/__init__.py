"""Programs for those who work on the server: measurements and trials."""
