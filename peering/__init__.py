"""Other servers: the links to them, the names by which they are known, and their users in channels here."""
