"""The report as one self-contained HTML page: tables and figures in, text out; nothing is loaded from anywhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from ophiolite.errors import FormatError, explain
from ophiolite.report.figure_style import INK
from ophiolite.report.style import CSS

# Even a page that carries a hostile name may load nothing and run nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SCALE_HEADERS = ("mip", "voxel size (nm)", "size (voxels)", "offset", "chunk", "encoding", "shards")
BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class ScaleRow:
    """One mip of a layer; `shards` is None where the chunks are files."""

    mip: int
    resolution_nm: tuple[float, float, float]
    size_vx: tuple[int, int, int]
    voxel_offset_vx: tuple[int, int, int]
    chunk_vx: tuple[int, int, int]
    encoding: str
    shards: int | None


@dataclass(frozen=True)
class LayerRow:
    """One layer that was made.

    path : its folder relative to the page, with forward slashes. products : what hangs under it, e.g. "mesh".
    """

    dataset: str
    layer: str
    kind: str
    data_type: str
    path: str
    source: str
    scales: Sequence[ScaleRow] = ()
    products: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """A figure file (PNG or SVG) with its title, and a caption that says what is to be seen.

    section : "figures", or "cost" for those that stand by the table of stages. links : (text, address) under it.
    """

    title: str
    caption: str
    path: Path
    section: str = "figures"
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Table:
    """A table for reading: cells are text; columns other than `text_columns` hold numbers, set flush right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: Container[int] = (0,)
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page: paragraphs, tables, figures, then links (text, address). key : its anchor, [a-z_]+."""

    key: str
    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Report:
    """All that the page shows.

    facts : (value, name) of the key figures on top. costs : tables of what it cost. view_command : how to open the
    viewer. versions : name -> version. config : YAML text.
    """

    project: str
    facts: Sequence[tuple[str, str]]
    layers: Sequence[LayerRow]
    costs: Sequence[Table]
    figures: Sequence[Figure]
    warnings: Sequence[str]
    view_command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    config: str = ""


def render_page(report: Report) -> str:
    """The page as HTML text.

    Raises FormatError where a figure is neither PNG nor SVG, or an SVG would run or load something.
    """
    sections = [
        ("made", "What was made", _layers(report)),
        ("figures", "Figures", _figures(report.figures, "figures")),
        ("cost", "What it cost", "".join(map(_titled_table, report.costs)) + _figures(report.figures, "cost")),
        ("notes", "Notes of the plan", _list(report.warnings)),
        ("versions", "Versions", _versions(report.versions)),
        ("config", "Config", f"<pre><code>{escape(report.config)}</code></pre>" if report.config else ""),
    ]
    return _document(report.project, "Ophiolite report", report.facts, sections)


def render_sections(project: str, kicker: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """A page of sections as HTML text; `kicker` is the small line over the project's name, `facts` as in `Report`.

    Raises FormatError as `render_page` does.
    """
    return _document(project, kicker, facts, [(s.key, s.title, _section(s)) for s in sections])


def _section(section: Section) -> str:
    text = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in section.text)
    links = " &nbsp; ".join(f'<a href="{escape(address)}">{escape(shown)}</a>' for shown, address in section.links)
    below = f'<p class="note">{links}</p>' if links else ""
    return text + "".join(map(_titled_table, section.tables)) + "".join(map(_figure, section.figures)) + below


def _titled_table(table: Table) -> str:
    title = f"<h3>{escape(table.title)}</h3>" if table.title else ""
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return title + _table(table.headers, table.rows, table.text_columns) + note


def _document(
    project: str, kicker: str, key_figures: Sequence[tuple[str, str]], sections: Sequence[tuple[str, str, str]]
) -> str:
    shown = [section for section in sections if section[2]]
    menu = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in shown)
    body = "".join(f'<section id="{key}"><h2>{escape(title)}</h2>{text}</section>' for key, title, text in shown)
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for value, name in key_figures)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(project)} · Ophiolite</title><style>{CSS}</style></head><body>"
        f'<header><p class="kicker">{escape(kicker)}</p><h1>{escape(project)}</h1><dl class="facts">{facts}</dl>'
        f"<nav>{menu}</nav></header><main>{body}</main></body></html>\n"
    )


def human_bytes(count: float) -> str:
    """Bytes for reading, in powers of 1000, three digits: 12 B, 3.40 MB, 120 GB."""
    power = 0
    while power < len(BYTE_UNITS) - 1 and abs(count) >= 999.5:
        count, power = count / 1000, power + 1
    return f"{count:.0f} {BYTE_UNITS[power]}" if power == 0 else f"{_three_digits(count)} {BYTE_UNITS[power]}"


def human_time(seconds: float) -> str:
    """A duration for reading: 4.2 s, 3 min 10 s, 2 h 05 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def _three_digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def _layers(report: Report) -> str:
    if not report.layers:
        return ""
    view = (
        f'<p>To look at all of it in Neuroglancer, without a network: <code class="command">'
        f"{escape(report.view_command)}</code></p>"
    )
    return view + "".join(_layer(row) for row in report.layers)


def _layer(row: LayerRow) -> str:
    chips = "".join(
        f'<span class="chip">{escape(name)}</span>' for name in (row.kind, row.data_type, *row.products) if name
    )
    scales = [
        (
            str(scale.mip),
            _times(f"{r:g}" for r in scale.resolution_nm),
            _times(f"{n:,}" for n in scale.size_vx),
            ", ".join(map(str, scale.voxel_offset_vx)),
            _times(map(str, scale.chunk_vx)),
            scale.encoding,
            "files" if scale.shards is None else f"{scale.shards:,}",
        )
        for scale in row.scales
    ]
    table = _table(SCALE_HEADERS, scales, text_columns=range(6)) if scales else ""
    return (
        f'<article class="layer"><h3>{escape(row.dataset)}<span class="slash">/</span>{escape(row.layer)}</h3>'
        f'<p class="chips">{chips}</p><p class="source">from <code>{escape(row.source)}</code> to '
        f'<a href="{escape(_relative(row.path))}/info"><code>{escape(row.path)}</code></a></p>{table}</article>'
    )


def _relative(path: str) -> str:
    """A link that stays beside the page, whatever a name holds."""
    from urllib.parse import quote

    return "./" + quote(path.lstrip("/"))


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Container[int]) -> str:
    """A table; columns other than `text_columns` hold numbers and are set flush right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}>{escape(cell)}</{tag}>" if i in text_columns else f'<{tag} class="n">{escape(cell)}</{tag}>'
            for i, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells("th", headers)}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _figures(figures: Sequence[Figure], section: str) -> str:
    return "".join(_figure(figure) for figure in figures if figure.section == section)


def _figure(figure: Figure) -> str:
    data = figure.path.read_bytes()
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        source = base64.b64encode(data).decode()
        picture = f'<img alt="{escape(figure.title)}" src="data:image/png;base64,{source}">'
    else:
        picture = f'<div class="chart">{_inline_svg(figure, data.decode("utf-8", "replace"))}</div>'
    links = "".join(f' <a href="{escape(address)}">{escape(text)}</a>' for text, address in figure.links)
    return (
        f"<figure>{picture}<figcaption><strong>{escape(figure.title)}</strong> {escape(figure.caption)}{links}"
        "</figcaption></figure>"
    )


def _inline_svg(figure: Figure, text: str) -> str:
    """The `<svg>` element of a chart, in the colour of the page's text, its ids made unlike those of other charts."""
    start = text.find("<svg")
    outside = re.search(r"""<script|<foreignObject|\son\w+\s*=|(?:href|src)\s*=\s*["'](?!#)""", text, re.IGNORECASE)
    if start < 0 or outside:
        raise FormatError(
            explain(
                str(figure.path),
                "the figure cannot be shown in the report",
                expected="PNG, or SVG that neither runs nor loads anything",
                got=outside.group(0).strip() if outside else "neither",
                do="Draw it again with the rule that makes it",
            )
        )
    prefix = re.sub(r"\W", "-", figure.path.stem)
    text = re.sub(r"<metadata>.*?</metadata>", "", text[start:], flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = text.replace("url(#", f"url(#{prefix}-").replace(INK, "currentColor")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(figure.title)}"', 1)


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _versions(versions: Mapping[str, str]) -> str:
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(version)}</dd></div>" for name, version in versions.items()
    )
    return f'<dl class="versions">{items}</dl>' if items else ""


def _times(parts: Iterable[str]) -> str:
    return " × ".join(parts)
