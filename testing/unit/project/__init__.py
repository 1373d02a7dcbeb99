"""The project as a whole: its structure and its documents."""
