"""GSM8K with the answer as JSON: the reasoning and the result in one object (RL-Struct's GSM8K-JSON).

Two shapes. ``text`` is that of RL-Struct's model card, two strings:

    {"reasoning": "She sold 48 / 2 = 24 clips in May. ...", "answer": "72"}

``steps`` (ours) has a list, and the answer may be a number:

    {"reasoning": [{"step": 1, "text": "She sold 48/2 = 24 clips in May.", "expr": "48/2=24"}], "answer": 72}

Only the answer is verified, as mathematics; the schema holds the rest to its form.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from data.gsm8k import Gsm8kProblem, read_problems
from data.reader import Reading, Split
from envs.errors import ConfigurationError, nearest
from envs.json.task import JsonTask, MathGold

Shape = Literal["steps", "text"]

CALCULATION = re.compile(r"<<([^<>]*)>>")
STEP = {
    "type": "object",
    "properties": {
        "step": {"type": "integer"},
        "text": {"type": "string"},
        "expr": {"type": "string", "description": "the calculation"},
    },
    "required": ["step", "text"],
    "additionalProperties": False,
}
REASONING: Mapping[Shape, Mapping[str, Any]] = {
    "steps": {
        "reasoning": {"type": "array", "items": STEP, "minItems": 1},
        "answer": {"type": ["number", "string"], "description": "the result alone"},
    },
    "text": {
        "reasoning": {"type": "string"},
        "answer": {"type": "string", "description": "the result alone"},
    },
}


@dataclass(frozen=True, kw_only=True)
class Gsm8kJsonReader:
    """Reads what ``gsm8k`` reads, for the environment ``json``; the reference is the official solution."""

    path: str
    """A directory with train.jsonl and test.jsonl, or ``hub://openai/gsm8k``."""
    subset: str = "main"
    """The hub's configuration name."""
    shape: Shape = "steps"
    """``steps``: the reasoning is a list of steps and the answer a number or a string; ``text``: two strings."""

    environment = "json"

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            raise ConfigurationError(
                f"gsm8k_json: unknown shape '{self.shape}'{nearest(self.shape, get_args(Shape))}; known: steps, text"
            )

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in the file's order; labelled with the number of calculations of the solution."""
        problems, skipped = read_problems(self.path, self.subset, split)
        schema = json.dumps(
            {
                "type": "object",
                "properties": REASONING[self.shape],
                "required": ["reasoning", "answer"],
                "additionalProperties": False,
            }
        )
        tasks = [
            JsonTask(
                id=problem.id.replace("gsm8k", "gsm8k-json", 1),
                labels=problem.labels,
                schema=schema,
                text=problem.question,
                gold=MathGold(value=problem.gold, reference=json.dumps(self._reference(problem), ensure_ascii=False)),
            )
            for problem in problems
        ]
        return Reading(tasks=tasks, skipped=skipped)

    def _reference(self, problem: Gsm8kProblem) -> dict[str, Any]:
        lines = [line.strip() for line in problem.solution.splitlines() if line.strip()] or [problem.gold]
        if self.shape == "text":
            return {"reasoning": "\n".join(CALCULATION.sub("", line) for line in lines), "answer": problem.gold}
        steps = []
        for number, line in enumerate(lines, start=1):
            step = {"step": number, "text": CALCULATION.sub("", line)}
            if calculations := CALCULATION.findall(line):
                step["expr"] = "; ".join(calculations)
            steps.append(step)
        return {"reasoning": steps, "answer": float(problem.gold) if "." in problem.gold else int(problem.gold)}
