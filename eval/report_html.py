"""report.html: one file to browse tasks and answers, that needs no network and no other file.

Texts may be hostile. They are data of the page, in JSON that can neither end its element nor open another, and its
script puts them into the page as text alone. A content security policy forbids every script and style but the page's
own, by their hashes, and every address.

What it holds of tasks and answers, and how it stays small enough for a browser: eval/page_data.py.
"""

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from string import Template

from eval.markdown_text import Table, printable
from eval.measurement import Evaluation
from eval.page_data import MOST_CHARACTERS, Costs, embedded, page_data
from eval.records import TaskCard

PAGE = Path(__file__).parent / "report_page"
SCRIPTS = ("elements.js", "tables.js", "task.js", "tasks.js", "start.js")
"""Joined in this order."""


def page(
    evaluation: Evaluation,
    cards: Sequence[TaskCard],
    tables: Sequence[Table],
    pictures: Mapping[str, Path],
    *,
    title: str,
    model: str,
    resolved: str,
    costs: Costs,
    most: int = MOST_CHARACTERS,
) -> str:
    """The page as text that any encoding of Unicode can write.

    Args:
        evaluation: what was measured.
        cards: the tasks in the order in which they are listed; tasks without one come last.
        tables: shown first.
        pictures: caption -> PNG file.
        title: of the page.
        model: how the model was named.
        resolved: the configuration as YAML.
        costs: of each decoding and task; those that are missing are not shown.
        most: characters that tasks and answers may take; it says what had to be left out.
    """
    style = _source("page.css")
    script = "\n".join(['"use strict";', "(() => {", *map(_source, SCRIPTS), "})();"])
    data = page_data(evaluation, cards, costs, most=most) | {
        "title": title,
        "model": model,
        "configuration": resolved,
        "tables": [asdict(each) for each in tables],
        "pictures": [{"caption": caption, "source": _data_uri(path)} for caption, path in pictures.items()],
    }
    return Template(_source("page.html")).substitute(
        title=html.escape(printable(title)),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=embedded(data),
    )


def _source(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
