"""How does the front's picture show a third figure? As the colour or the size of the front's points."""

import math
from typing import Any, Literal

from ...texts.wording import format_value, heading
from ..theme import ACCENT, MUTED, SCALE, TITLE_PX, Canvas, is_log, on_axis
from .info import FrontInfo
from .markers import SMALLEST_PX

ThirdAs = Literal["colour", "size"]
HEIGHT_PX, COLORBAR_PX, COLORBAR_PAD_PX = 560, 56, 10
_LARGEST_PX = 22.0


def scaled_marker(info: FrontInfo, marker: dict[str, Any], third_as: ThirdAs) -> dict[str, Any]:
    """The front's marker with the third figure as its colour or its size."""
    assert info.third is not None
    log = is_log(info.third)
    values = [point.third for point in info.front]
    scaled = on_axis(values, log)
    if third_as == "size":
        low, span = min(scaled), (max(scaled) - min(scaled)) or 1.0
        sizes = [SMALLEST_PX + (_LARGEST_PX - SMALLEST_PX) * (value - low) / span for value in scaled]
        return {**marker, "size": sizes, "color": ACCENT, "opacity": 0.75}
    # The middle of the bar: on a log scale the geometric mean.
    middle = math.sqrt(min(values) * max(values)) if log else (min(values) + max(values)) / 2
    ticks = [min(values), middle, max(values)]
    bar = {
        "orientation": "h",
        "thickness": 10,
        "lenmode": "pixels",
        "len": 200,
        "x": 0,
        "xanchor": "left",
        "xpad": COLORBAR_PAD_PX,
        "ypad": 0,  # else its space moves the plot down, and the name of the colours with it
        "yref": "container",
        "y": 1 - (TITLE_PX + COLORBAR_PX - 4) / HEIGHT_PX,
        "yanchor": "bottom",
        "tickvals": on_axis(ticks, log),
        "ticktext": [format_value(info.third, tick) for tick in ticks],
        "tickangle": 0,
        "outlinewidth": 0,
    }
    colours = {"color": scaled, "cmin": min(scaled), "cmax": max(scaled), "colorscale": SCALE, "colorbar": bar}
    return {**marker, **colours}


def name_colours(canvas: Canvas, info: FrontInfo, above: int) -> None:
    """What the colours mean, `above` pixels over the plot; the colour bar's own title would cover the bar."""
    assert info.third is not None
    canvas.annotations.append(
        {
            "text": f"{heading(info.third)} of the front",
            "x": 0,
            "y": 1,
            "xref": "paper",
            "yref": "paper",
            "xanchor": "left",
            "yanchor": "top",
            "xshift": COLORBAR_PAD_PX,
            "yshift": above,
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": 11, "color": MUTED},
        }
    )
