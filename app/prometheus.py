"""The text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.statistics import Family, Histogram

PREFIX = "crosstalk_"
"""Begins the name of each metric."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of a text in this format."""


def exposition(families: Iterable[Family]) -> str:
    """Return values in this format."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    metric, values = family
    name = PREFIX + metric.name
    yield f"# HELP {name} {_escaped(metric.help)}"
    yield f"# TYPE {name} {metric.type}"
    if isinstance(values, Histogram):
        for bound, count in values.buckets():
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f"{name}_sum {values.total!r}"
        yield f"{name}_count {values.count}"
        return
    for labels, value in values.items():
        pairs = ",".join(
            f'{label}="{_escaped(text, quote=True)}"' for label, text in zip(metric.labels, labels, strict=True)
        )
        yield f"{name}{f'{{{pairs}}}' if pairs else ''} {value!r}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text
