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


def picture(kind: str, box: tuple[float, float, float, float], parts: Iterable[str]) -> str:
    """The whole; what it shows is said beside it, where readers of screens find it."""
    view = " ".join(map(number, box))
    size = f'width="{number(box[2])}" height="{number(box[3])}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" {size} viewBox="{view}">'
        f"{''.join(parts)}</svg>"
    )
