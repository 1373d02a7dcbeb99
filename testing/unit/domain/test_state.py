"""domain/state.py: sorted names that are shared until they change."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from domain.sorted_names import SortedNames
from support.examples import EXAMPLES


@EXAMPLES
@given(st.lists(st.one_of(st.integers(0, 12), st.just("read")), max_size=60))
def test_sorted_names_are_those_that_are_there_and_no_list_ever_changes(steps: list[int | str]) -> None:
    """A number stands for as many names, which come if they are not there, and else go."""
    names, there = SortedNames(), set[str]()
    read: list[tuple[Sequence[str], list[str]]] = []
    for step in steps:
        if isinstance(step, str):
            read.append((names.read(), sorted(there)))
            continue
        for name in (f"{step}.{number}" for number in range(step**2)):
            (names.remove if name in there else names.add)(name)
            there ^= {name}
        assert all(list(given_out) == expected for given_out, expected in read)
    assert names.read() == sorted(there)


def test_a_list_is_shared_until_it_changes_and_never_sorted_as_a_whole() -> None:
    compared = 0

    class Name(str):
        __slots__ = ()

        def __lt__(self, other: str) -> bool:
            nonlocal compared
            compared += 1
            return str.__lt__(self, other)

    names = SortedNames()
    for number in range(5000):
        names.add(Name((number * 7919) % 5000))
    names.read()
    compared = 0
    first = names.read()
    assert names.read() is first
    assert compared == 0
    for number in range(20):
        names.add(Name(f"{number}.5"))
        names.remove(Name(number))
        names.read()
    assert compared < 20 * 2 * 5020  # a merge looks at each name at most once, a sort a dozen times
    assert len(names.read()) == 5000
