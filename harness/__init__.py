"""Runs scripted cases: see TESTING.md. Needs the standard library alone."""
