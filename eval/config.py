"""What is measured, on which tasks, decoded how."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from decoding.aligned.config import AlignedSampling
from decoding.aligned.decoder import AlignedDecoder, require_aligned
from decoding.budgets import Budgets
from decoding.decoder import SampleDecoder, StreamingDecoder
from decoding.engine import Engine
from decoding.search.account import SearchBudget
from decoding.search.decoder import SearchDecoder
from decoding.search.diverse_beam import BeamGroups
from decoding.search.diverse_beam_decoder import DiverseBeamDecoder, require_one_turn
from decoding.search.registry import SearchConfig, make_strategy
from envs.environment import Environment
from envs.errors import ConfigurationError
from rewards.registry import component


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """One way of decoding the held-out tasks."""

    temperature: float = 1.0
    """0 decodes greedily."""
    grammar: bool = False
    """True masks every token that would leave the task's grammar."""
    aligned: bool = False
    """True draws answers from the model's own distribution, given the grammar, which masks alone distort
    (docs/grammars.md). Needs ``grammar``."""
    alignment: AlignedSampling = field(default_factory=AlignedSampling)
    """How they are drawn."""
    search: SearchConfig | None = None
    """Searches for each answer (docs/evaluation.md); null: answers are sampled."""
    budget: SearchBudget = field(default_factory=SearchBudget)
    """What the search for one answer may cost."""
    beams: BeamGroups | None = None
    """Beam search over tokens, diverse with more groups than one: no draw, and no temperature."""
    select: Literal["best", "vote"] = "best"
    """Which of the beams is the answer: the most probable one, or one whose meaning most of them share."""
    samples: int = 1
    """Answers per task; of a search, so many searches."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigurationError(f"a decoding's temperature must be 0 or more, got {self.temperature}")
        if self.samples < 1:
            raise ConfigurationError(f"a decoding's samples must be at least 1, got {self.samples}")
        ways = {"aligned": self.aligned, "search": self.search is not None, "beams": self.beams is not None}
        if len(chosen := [name for name, is_chosen in ways.items() if is_chosen]) > 1:
            raise ConfigurationError(f"a decoding has {' and '.join(chosen)}; expected one of them")
        if self.search is None and self.budget != SearchBudget():
            raise ConfigurationError("a decoding's budget is that of a search; add search, or leave it out")
        if self.search is not None:
            make_strategy(self.search)
            # One that refines an answer asks something else each time.
            if self.temperature == 0 and self.search.strategy != "iterative":
                raise ConfigurationError(
                    f"a search by '{self.search.strategy}' at temperature 0 finds the same answer again and again; set"
                    " a temperature above 0"
                )
            if not self.grammar and _names_scorer(self.search.options, "grammar_mass"):
                raise ConfigurationError(
                    "scorer 'grammar_mass' is what a grammar left of the model's mass; add grammar: true, or take"
                    " another scorer"
                )
        if self.aligned and not self.grammar:
            raise ConfigurationError("a decoding's aligned sampling is under a grammar; add grammar: true")
        if self.alignment.method == "awrs":
            raise ConfigurationError(
                "a decoding's alignment.method 'awrs' checks texts, which no configuration can name; expected smc, sir,"
                " cars or asap (AlignedDecoder takes a check)"
            )

    def decoder(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        heldout: "HeldoutConfig",
        *,
        window: int | None = None,
    ) -> StreamingDecoder:
        """What decodes so.

        Args:
            window: of the model, in tokens, for searches whose prompts grow; None: there is no limit to them.

        Raises:
            ConfigurationError: the environment or the engine cannot be decoded so.
        """
        if self.search is not None:
            return SearchDecoder(
                engine=engine,
                tokenizer=tokenizer,
                environment=environment,
                budgets=heldout.budgets,
                strategy=make_strategy(self.search),
                budget=self.budget,
                temperature=self.temperature,
                is_masked=self.grammar,
                rejoin_after=heldout.rejoin_after,
                window=window,
            )
        if self.beams is not None:
            return DiverseBeamDecoder(
                engine=engine,  # type: ignore[arg-type]  # which it checks
                tokenizer=tokenizer,
                environment=environment,
                budgets=heldout.budgets,
                groups=self.beams,
                grammar=self.grammar,
                select=self.select,
                max_batch_rows=heldout.max_batch_rows,
            )
        if self.aligned:
            return AlignedDecoder(
                engine=engine,
                tokenizer=tokenizer,
                environment=environment,
                budgets=heldout.budgets,
                temperature=self.temperature,
                aligned=self.alignment,
                max_batch_rows=heldout.max_batch_rows,
            )
        return SampleDecoder(
            engine=engine,
            tokenizer=tokenizer,
            environment=environment,
            budgets=heldout.budgets,
            temperature=self.temperature,
            masked_share=float(self.grammar),
            rejoin_after=heldout.rejoin_after,
        )


def _names_scorer(options: Any, name: str) -> bool:
    """Whether a scorer is named anywhere in a strategy's options."""
    if isinstance(options, Mapping):
        return any(_names_scorer(member, name) for key, member in options.items() if key != "model")
    if isinstance(options, list | tuple):
        return any(_names_scorer(member, name) for member in options)
    return bool(options == name)


def _free_and_constrained() -> Mapping[str, DecodingConfig]:
    return {"free": DecodingConfig(), "constrained": DecodingConfig(grammar=True)}


@dataclass(frozen=True, kw_only=True)
class HeldoutConfig:
    """How a model is measured on held-out tasks."""

    metrics: list[str]
    """Reward components of the environment; the first one is the headline."""
    decodings: Mapping[str, DecodingConfig] = field(default_factory=_free_and_constrained)
    """Name -> decoding; every one is measured on the same tasks."""
    tasks: int | None = None
    """Number of held-out tasks, drawn with ``seed``; null takes all. A larger number adds tasks to a smaller one's."""
    max_new_tokens: int = 256
    """Budget of one answer, observations included."""
    max_turn_tokens: int | None = None
    """Most tokens that the model writes before the environment speaks again; null: as many as the answer has left."""
    rejoin_after: int | None = 8
    """Decode steps after which an answer that asked the environment goes on; null: once it is answered
    (``rollout.rejoin_after`` of training)."""
    max_batch_rows: int = 64
    """Answers decoded at once."""
    seed: int = 0
    """Draws the tasks and the samples: two models measured with one seed see the same tasks and random numbers."""

    def __post_init__(self) -> None:
        if not self.metrics or not self.decodings:
            raise ConfigurationError("heldout needs at least one metric and one decoding")
        if self.tasks is not None and self.tasks < 1:
            raise ConfigurationError(f"heldout.tasks must be at least 1 or null for all, got {self.tasks}")
        for name in ("max_new_tokens", "max_batch_rows"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"heldout.{name} must be at least 1, got {getattr(self, name)}")

    @property
    def budgets(self) -> Budgets:
        """Of an answer and its turns."""
        return Budgets(max_new_tokens=self.max_new_tokens, max_turn_tokens=self.max_turn_tokens)

    def require(self, environment: Environment[Any]) -> None:
        """Checks that the environment can be measured so.

        Raises:
            ConfigurationError: it has no such metric, no room for its steps, or no answers that can be decoded so.
        """
        for metric in self.metrics:
            component(environment, metric)
        self.budgets.require_room(environment)
        for decoding in self.decodings.values():
            if decoding.aligned:
                require_aligned(environment, temperature=decoding.temperature)
            if decoding.search is not None:
                make_strategy(decoding.search).steps(environment)
            if decoding.beams is not None:
                require_one_turn(environment)


def require_directory_name(name: str) -> None:
    """Checks that a run's name is one directory below the output directory.

    Raises:
        ConfigurationError: it is not.
    """
    if name in ("", ".", "..") or "/" in name:
        raise ConfigurationError(f"name '{name}' must be a plain directory name")
