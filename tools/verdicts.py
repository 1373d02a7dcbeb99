"""The verdict of a trial: what went wrong, printed in one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def print_verdict(found: Mapping[str, Sequence[str]], *, is_good: bool) -> None:
    """Print what went wrong, the first five of each kind, and then the verdict.

    Args:
        found: what went wrong, by kind.
        is_good: the verdict.
    """
    for kind, items in found.items():
        print(f"{kind}: {len(items)}{' ' + ', '.join(items[:5]) if items else ''}")
    print("verdict:", "good" if is_good else "BAD")
