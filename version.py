"""The version of all programs, as CHANGELOG.md counts."""

VERSION = "0.1.0"
