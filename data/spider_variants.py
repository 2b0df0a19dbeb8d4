"""Spider with other questions, each in its official layout, over Spider's databases.

- ``syn``: Spider-Syn (Gan et al. 2021), schema words replaced by synonyms: ``Spider-Syn/dev.json`` and
  ``Spider-Syn/train_spider.json``, question in ``SpiderSynQuestion``
- ``realistic``: Spider-Realistic (Deng et al. 2021), columns no longer named: ``spider-realistic.json``
- ``dk``: Spider-DK (Gan et al. 2021), questions that need domain knowledge: ``Spider-DK.json``, with a ``tables.json``
  and three changed databases of its own

Not covered: the word-level variants of Spider-Syn made against one model (``WorstCaseDevSet``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from data.column_descriptions import spider_descriptions
from data.reader import Reading, Split
from data.source import directory_file, directory_files, json_file
from data.spider import ORIGIN as SPIDER_ORIGIN
from data.spider import SpiderQuestions, read_questions
from envs.errors import ConfigurationError, nearest

Variant = Literal["syn", "realistic", "dk"]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How one variant is laid out."""

    files: Mapping[Split, str]
    origin: str
    folder: str = ""
    """Where the files lie inside the download."""
    question_key: str = "question"
    own_files: tuple[str, ...] = ()
    """What the download has beside the questions."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that only this variant has: name -> key of the row."""


_LAYOUTS: Mapping[str, _Layout] = {
    "syn": _Layout(
        files={"train": "train_spider.json", "heldout": "dev.json"},
        origin="get it from https://github.com/ygan/Spider-Syn",
        folder="Spider-Syn",
        question_key="SpiderSynQuestion",
    ),
    "realistic": _Layout(
        files={"heldout": "spider-realistic.json"},
        origin="get it from https://zenodo.org/records/5205322",
    ),
    "dk": _Layout(
        files={"heldout": "Spider-DK.json"},
        origin="get it from https://github.com/ygan/Spider-DK",
        own_files=("tables.json", "database"),
        labels={"knowledge": "type"},
    ),
}


@dataclass(frozen=True, kw_only=True)
class SpiderVariantsReader:
    """Reads Spider-Syn, Spider-Realistic or Spider-DK. Rows are skipped and counted as in ``data.spider``."""

    variant: Variant
    """syn, realistic or dk."""
    path: str
    """The directory of the variant's own download."""
    spider: str
    """Spider's directory, with ``database/`` and ``tables.json``. In it a database is looked for that the variant has
    not of its own."""

    environment = "sql"

    def __post_init__(self) -> None:
        known = get_args(Variant)
        if self.variant not in known:
            raise ConfigurationError(
                f"spider_variants: unknown variant '{self.variant}'{nearest(self.variant, known)}; "
                f"known: {', '.join(known)}"
            )

    def read(self, split: Split) -> Reading:
        """All usable rows, in their order; labelled with database and official difficulty, those of ``dk`` also with
        the kind of knowledge that they need (0: none; the others are the paper's T1 to T5, 34 is T3 and T4).

        Raises:
            ConfigurationError: the variant has no such split, a file is missing, or no row is usable.
        """
        layout = _LAYOUTS[self.variant]
        dataset = f"spider_{self.variant}"
        if split not in layout.files:
            raise ConfigurationError(f"{dataset} is for measuring and has no train split; train on spider")
        root = Path(self.path).expanduser()
        home = root / layout.folder if (root / layout.folder).is_dir() else root
        file, *_ = directory_files(str(home), [layout.files[split], *layout.own_files], dataset, layout.origin)
        databases = directory_file(self.spider, "database", "spider", SPIDER_ORIGIN).absolute()
        own = [(home / "database").absolute()] if "database" in layout.own_files else []
        tables = home if "tables.json" in layout.own_files else Path(self.spider).expanduser()
        questions = SpiderQuestions(
            dataset=dataset,
            rows=json_file(file, dataset),
            homes=[*own, databases],
            descriptions=spider_descriptions(tables / "tables.json"),
            subject=f"{dataset}: split '{split}' of '{self.path}'",
            question_key=layout.question_key,
            labels=layout.labels,
        )
        return read_questions(questions, split)
