"""What all pages share: the frame, tables, and what is said of them."""

import html
from dataclasses import dataclass
from pathlib import Path

from sanctuary_post import __version__

STATEMENT = "Research software: makes no claim about any real patient."
asset = Path(__file__).parent


@dataclass
class Page:
    """What was written: size in bytes, what is not whole about it (empty: nothing), and what was odd about it."""

    size: int
    unfinished: str
    notes: list


def escape(value):
    """Text for HTML."""
    return html.escape(str(value), quote=True)


def chips(facts):
    """Pairs of (label, value) in one line; what has no value is left out."""
    return '<p class="chips">' + "".join(f"<span><i>{label}</i> {escape(value)}</span>" for label, value in facts if value not in ("", None)) + "</p>"


def warning(kind, sentence):
    """A sentence that nobody shall miss."""
    return f'<p class="incomplete"><b>{escape(kind)}:</b> {escape(sentence)}</p>'


def table(name, head, rows, style="plain"):
    """A table; `head` is HTML, rows are lists of HTML cells whose first is a heading."""
    body = "".join(f"<tr><th>{label}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for label, *cells in rows)
    return f'<div class="scroll"><table class="{style}" data-table="{escape(name)}"><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def heading(*labels):
    """A row of headings."""
    return "<tr>" + "".join(f"<th>{label}</th>" for label in labels) + "</tr>"


def notes(sentences):
    """A list of sentences; nothing without any."""
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in sentences) + "</ul>" if sentences else ""


def folded(title, text):
    """A text that opens on a click."""
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def document(title, top, parts, data=""):
    """A page: title, what stands above the contents, parts of (name, title, HTML) of which empty ones are left out, scripts."""
    parts = [part for part in parts if part[2]]
    links = "".join(f'<a href="#{name}">{label}</a>' for name, label, _ in parts)
    body = "".join(f'<section id="{name}"><h2>{label}</h2>{content}</section>' for name, label, content in parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}: Sanctuary report</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{(asset / 'page.css').read_text(encoding='utf-8')}</style></head><body>"
        f'<header><h1>{escape(title)}</h1><p class="statement">{STATEMENT}</p>{top}</header><nav>{links}</nav><main>{body}</main>'
        f"<footer>{STATEMENT} Made by sanctuary-post {__version__}.</footer>{data}</body></html>\n"
    )
