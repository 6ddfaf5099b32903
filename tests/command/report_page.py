"""A page of `python3 -m sanctuary_post` as tests see it, and how it is made."""
import base64
import gzip
import html.parser
import json
import os
import pathlib
import subprocess
import sys

POST = pathlib.Path(os.environ.get("SANCTUARY_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2])) / "postprocess"


class Page(html.parser.HTMLParser):
    """Sections, data and addresses of a page; `words` is the text that a reader sees, `tables` its tables by drug: rows of cells."""

    def __init__(self, path):
        super().__init__()
        self.sections, self.tags, self.addresses, self.data, self.open, self.words = [], set(), [], {}, [], ""
        self.tables, self.rows = {}, None
        self.bytes = path.read_bytes()
        self.feed(self.bytes.decode())
        self.about = json.loads(self.opened("about")) if "data-about" in self.data else {}

    def opened(self, name):
        return gzip.decompress(base64.b64decode(self.data[f"data-{name}"]))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "section":
            self.sections.append(attributes["id"])
        if tag in ("script", "style"):
            self.open.append(attributes.get("id", tag))
        if tag == "table":
            self.rows = self.tables.setdefault(attributes["data-table"], []) if "data-table" in attributes else None
        if self.rows is not None and tag == "tr":
            self.rows.append([])
        if self.rows is not None and tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self.rows = None
        if tag in ("script", "style"):
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.data[self.open[-1]] = self.data.get(self.open[-1], "") + data
            return
        self.words += data + " "
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def row(self, table, label):
        """The cells of the one row of a table whose label starts so."""
        found = [row[1:] for row in self.tables[table] if row[0].startswith(label)]
        assert len(found) == 1, (table, label, self.tables[table])
        return found[0]


def report(directory, *more):
    done = subprocess.run([sys.executable, "-m", "sanctuary_post", str(directory), *more], capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(POST)}, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr
