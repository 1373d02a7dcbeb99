"""The tests that Python calls, in the packages of what they test."""
