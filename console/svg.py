"""Pieces of SVG that both pictures are made of. Classes only: colours are the style sheet's."""

from collections.abc import Iterable
from html import escape


def number(value: float) -> str:
    """A length with one decimal at most: more is less than a pixel, and most of a file."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def mark(x: float, y: float, radius: float, title: str, kind: str = "") -> str:
    """A disc that says what it stands for where a pointer rests on it."""
    named = f' class="{kind}"' if kind else ""
    place = f'cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"'
    return f"<circle{named} {place}><title>{escape(title, quote=False)}</title></circle>"


def picture(kind: str, label: str, box: tuple[float, ...], parts: Iterable[str]) -> str:
    """A picture as one image with a text of its own: readers of screens are told that, once."""
    view = " ".join(map(number, box))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img"'
        f' aria-label="{escape(label)}" viewBox="{view}">{"".join(parts)}</svg>'
    )
