"""What does a network look like? A small drawing of its stages, and where its MACs and parameters go; HTML and CSS."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from objectives import OBJECTIVES
from search_space.graph import FLOAT_BITS, HEAD
from search_space.texts.counting import count_of

from ...analysis.stage_costs import STAGE, BlockShape, StageCosts, stage_costs
from ...analysis.trade import share
from ...texts.wording import describe_spec, format_value

FULL_CHANNELS = 64
"""So many channels take the full height, as do the widest of a network with more: small networks compare at sight."""
LEAST_PER_CENT = 12
MAX_CELLS = 24
"""Blocks of a stage that are drawn one by one; more are one cell with their number."""
MAX_WIDE_STAGES = 4
"""With more stages the columns are narrow."""
SOFT_HYPHEN = "\u00ad"
HYPHENATED = {"bottleneck": f"bottle{SOFT_HYPHEN}neck", "depthwise": f"depth{SOFT_HYPHEN}wise"}
"""Where a narrow column may break a block's name."""
LEAST_SHARE = 0.001

Describe = Callable[[StageCosts], Any]


def draw_architecture(spec: Mapping[str, Any]) -> html.Div:
    """Stem, stages and head from left to right: a bar a block, as high as it is wide, textured by its bits."""
    sections = stage_costs(spec)
    is_narrow = _count_stages(sections) > MAX_WIDE_STAGES
    widest = max(FULL_CHANNELS, *(block.channels for section in sections for block in section.blocks))
    bars = [html.Div(_bars(section, widest), className="arch-stage") for section in sections]
    words = [
        html.Div(describe(section), className=look)
        for look, describe in (_short_rows() if is_narrow else _rows(_count_stages(sections)))
        for section in sections
    ]
    grid = html.Div([*bars, *words], className="arch-grid", style={"gridTemplateColumns": _columns(sections)})
    said: dict[str, Any] = {"role": "img", "aria-label": in_words(spec)}
    look = "arch-drawing arch-narrow" if is_narrow else "arch-drawing"
    return html.Div([grid, *_legend(sections)], className=look, **said)


def in_words(spec: Mapping[str, Any]) -> str:
    """The drawing for who cannot see it: `ResNet-32 basic ...: stem, 16 channels, 32×32, 8 bits; stage 1, ...`."""
    return f"{describe_spec(spec)}: {'; '.join(map(_section_in_words, stage_costs(spec)))}"


def stage_shares(spec: Mapping[str, Any]) -> html.Table:
    """MACs and parameters of each section: share as a bar and in per cent, and the number."""
    sections = stage_costs(spec)
    head = html.Tr([html.Th("", scope="col"), html.Th("MACs", scope="col"), html.Th("Parameters", scope="col")])
    totals = {name: sum(getattr(section, name) for section in sections) for name in ("macs", "params")}
    rows = [
        html.Tr(
            [
                html.Th(stage_name(section), scope="row"),
                *(html.Td(_share(name, getattr(section, name), total)) for name, total in totals.items()),
            ]
        )
        for section in sections
    ]
    return html.Table([html.Thead(head), html.Tbody(rows)], className="arch-shares")


def stage_name(section: StageCosts) -> str:
    """`stem`, `stage 1`, `head`."""
    number = section.name.removeprefix(STAGE)
    return f"{STAGE} {number}" if number.isdecimal() else section.name


def _rows(num_stages: int) -> list[tuple[str, Describe]]:
    """Class and text of each row below the bars."""
    is_tight = num_stages == MAX_WIDE_STAGES
    return [
        ("arch-name", stage_name),
        ("arch-blocks", lambda section: _blocks(section, is_tight)),
        ("arch-text", _channels),
        ("arch-text", _size),
        ("arch-text", _bits),
    ]


def _short_rows() -> list[tuple[str, Describe]]:
    return [
        ("arch-name", lambda section: section.name.removeprefix(STAGE)),
        ("arch-blocks", lambda section: f"{len(section.blocks)} ×" if section.blocks else ""),
        ("arch-text", _channels),
        ("arch-text", lambda section: _size(section) if section.name == HEAD.name else f"{section.shape.height} px"),
        ("arch-text", _bits),
    ]


def _share(name: str, value: int, total: int) -> Component:
    ratio = value / total if total else 0.0
    return html.Div(
        [
            html.Span(_per_cent(ratio), className="arch-percent"),
            html.Span(format_value(OBJECTIVES[name], value), className="arch-value"),
            html.Div(html.Div(className="arch-fill", style={"width": f"{100 * ratio:.1f}%"}), className="arch-bar"),
        ],
        className="arch-share",
    )


def _per_cent(ratio: float) -> str:
    return f"< {share(LEAST_SHARE)}" if 0 < ratio < LEAST_SHARE else share(ratio)


def _bars(section: StageCosts, widest: int) -> list[Component]:
    look = _bits_class(section)
    if not section.blocks:
        channels = 0 if section.name == HEAD.name else section.shape.channels
        return [html.Div(className=f"arch-cell arch-edge {look}", style=_height(channels, widest))]
    if len(section.blocks) > MAX_CELLS:
        gated = _gated(section.blocks)
        return [
            html.Div(
                html.Span(str(len(section.blocks)), className="arch-count"),
                className=f"arch-cell arch-many {look}{gated}",
                style=_height(section.shape.channels, widest),
            )
        ]
    return [
        html.Div(className=f"arch-cell {look}{_gated([block])}", style=_height(block.channels, widest))
        for block in section.blocks
    ]


def _gated(blocks: Sequence[BlockShape]) -> str:
    return " arch-se" if any(block.se for block in blocks) else ""


def _height(channels: int, widest: int) -> dict[str, str]:
    """The square root keeps both 8 and 512 channels visible."""
    return {"height": f"{max(LEAST_PER_CENT, 100 * math.sqrt(min(1.0, channels / widest))):.0f}%"}


def _bits_class(section: StageCosts) -> str:
    return f"arch-bits{min(section.bits)}" if section.bits else "arch-bits32"


def _columns(sections: Sequence[StageCosts]) -> str:
    """Room by the blocks, with at least as much as the words need."""
    blocks = (min(len(section.blocks), MAX_CELLS) for section in sections)
    return " ".join(f"minmax(min-content, {math.sqrt(count):.2f}fr)" if count else "min-content" for count in blocks)


def _count_stages(sections: Sequence[StageCosts]) -> int:
    return sum(bool(section.blocks) for section in sections)


def _legend(sections: Sequence[StageCosts]) -> list[Component]:
    if not any(block.se for section in sections for block in section.blocks):
        return []
    return [html.Div([html.Span(className="arch-mark"), "Squeeze-and-Excitation"], className="arch-legend")]


def _blocks(section: StageCosts, is_tight: bool) -> str | list[str | Component]:
    if not section.blocks:
        return ""
    if not section.block:
        return count_of(len(section.blocks), "block")
    kind, gate, _ = section.block.partition("+SE")
    words: list[str | Component] = [f"{len(section.blocks)} × {HYPHENATED.get(kind, kind) if is_tight else kind}"]
    return [*words, html.Wbr(), gate] if gate else words


def _channels(section: StageCosts) -> str:
    return str(section.shape.channels) if section.name == HEAD.name else f"{section.shape.channels} ch"


def _size(section: StageCosts) -> str:
    return "classes" if section.name == HEAD.name else f"{section.shape.height}×{section.shape.width}"


def _bits(section: StageCosts) -> str:
    text = "/".join("float" if bits == FLOAT_BITS else str(bits) for bits in section.bits)
    return text if text in ("", "float") else f"{text} bits"


def _section_in_words(section: StageCosts) -> str:
    channels = section.shape.channels
    parts = [stage_name(section)]
    if section.blocks:
        noun = f"{section.block} block" if section.block else "block"
        parts.append(count_of(len(section.blocks), noun))
    if section.name == HEAD.name:
        parts.append(f"{channels} classes")
    else:
        parts += [f"{channels} channels", _size(section)]
    return ", ".join(filter(None, [*parts, _bits(section)]))
