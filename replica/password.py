"""The password that engines want of nodes, and of each other."""

from __future__ import annotations

MAX_PASSWORD = 1024
"""Maximum bytes of a password."""


class PasswordError(Exception):
    """The file cannot be read, or has no password that the engine could use; the message says why."""


def read_password(path: str) -> str:
    """Return the password of a file, without the newline at its end.

    Raises:
        PasswordError: the file cannot be read, or has no password that the engine could use.
    """
    try:
        with open(path, "rb") as file:
            password = file.read(MAX_PASSWORD + 2).removesuffix(b"\n").decode()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise PasswordError(f"cannot read the password {path}: {reason}") from error
    if not 1 <= len(password.encode()) <= MAX_PASSWORD or not password.isprintable():
        raise PasswordError(f"the password {path} must be one line of 1 to {MAX_PASSWORD} bytes")
    if password.startswith("$2"):
        raise PasswordError(f"the password {path} must not begin with $2, which the engine takes for a hash")
    return password
