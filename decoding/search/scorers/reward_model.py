"""A classifier of transformers as a reward model: from token ids to numbers from 0 to 1.

Not covered: LoRA adapters of classifiers, models whose code comes with their weights, and reward models with a forward
of their own (value heads of TRL).
"""

import json
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from decoding.model_reference import resolve_reference
from decoding.models import window
from envs.errors import ConfigurationError

Kind = Literal["sequence", "token"]
SUFFIXES: dict[Kind, str] = {"sequence": "ForSequenceClassification", "token": "ForTokenClassification"}
CLASSES: dict[Kind, Any] = {"sequence": AutoModelForSequenceClassification, "token": AutoModelForTokenClassification}
_LOADING = (OSError, ValueError, ImportError, RuntimeError, KeyError, SafetensorError)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One text to be scored."""

    token_ids: tuple[int, ...]
    places: tuple[int, ...]
    """The tokens whose scores are asked for, by index; a sequence classifier knows its last one alone."""


class RewardModel:
    """A classifier and its tokenizer. For one thread at a time: a lock sees to it."""

    def __init__(self, reference: str, directory: str, device: torch.device) -> None:
        """
        Args:
            reference: as the user gave it, for messages.
            directory: the local directory, or hub id, that it stands for.
            device: where the model lies.

        Raises:
            ConfigurationError: there is no classifier of transformers, or it lacks weights.
        """
        self.reference = reference
        try:
            config = AutoConfig.from_pretrained(directory)
            self.kind = _kind(reference, config.architectures or [])
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(directory)
            model, info = CLASSES[self.kind].from_pretrained(directory, output_loading_info=True)
        except _LOADING as error:
            if isinstance(error, ConfigurationError):
                raise
            reason = textwrap.shorten(str(error), width=300, placeholder=" ...") or type(error).__name__
            raise ConfigurationError(f"reward model {reference!r} cannot be loaded: {reason}") from error
        # transformers would start them at random and say so in a warning only.
        if missing := sorted(info["missing_keys"]):
            raise ConfigurationError(
                f"reward model {reference!r} lacks {len(missing)} of its weights, among them {missing[0]}"
            )
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        # Classifiers of decoders find the end of a text by it.
        model.config.get_text_config().pad_token_id = self.tokenizer.pad_token_id
        self._model = model.to(device).eval()
        self._lock = threading.Lock()

    @property
    def window(self) -> int | None:
        """The most tokens of a text; None where neither model nor tokenizer names a limit."""
        limits = [limit for limit in (window(self._model), self.tokenizer.model_max_length) if limit is not None]
        return min(limits, default=None)

    def label(self, given: int | str | None) -> int:
        """The place of a label among the model's outputs; None: the last one.

        Raises:
            ConfigurationError: the model has no such label.
        """
        count, names = self._model.config.num_labels, self._model.config.id2label
        if given is None:
            return count - 1
        place = given if isinstance(given, int) else {name: place for place, name in names.items()}.get(given, -1)
        if not 0 <= place < count:
            known = ", ".join(f"{place} ({json.dumps(name)})" for place, name in sorted(names.items()))
            raise ConfigurationError(f"reward model {self.reference!r} has no label {given!r}; known: {known}")
        return place

    @torch.no_grad()
    def scores(self, readings: Sequence[Reading], *, label: int, batch_size: int) -> list[list[float]]:
        """The scores at the places of each text: with one label sigmoid(logit), else the softmax's share of ``label``.

        Args:
            readings: of at least one token each.
            label: the place of the label that means "good".
            batch_size: texts of one forward; those of a forward are about equally long.
        """
        order = sorted(range(len(readings)), key=lambda place: len(readings[place].token_ids))
        found: list[list[float]] = [[] for _ in readings]
        with self._lock:
            for first in range(0, len(order), batch_size):
                batch = order[first : first + batch_size]
                for place, scores in zip(batch, self._forward([readings[one] for one in batch], label), strict=True):
                    found[place] = scores
        return found

    def _forward(self, readings: Sequence[Reading], label: int) -> list[list[float]]:
        device = self._model.device
        width = max(len(reading.token_ids) for reading in readings)
        ids = torch.full((len(readings), width), self.tokenizer.pad_token_id or 0, device=device)
        seen = torch.zeros_like(ids)
        for row, reading in enumerate(readings):
            ids[row, : len(reading.token_ids)] = torch.tensor(reading.token_ids, device=device)
            seen[row, : len(reading.token_ids)] = 1
        scores = _probability(self._model(input_ids=ids, attention_mask=seen).logits.float(), label)
        if self.kind == "sequence":  # (B,)
            return [[score] * len(reading.places) for score, reading in zip(scores.tolist(), readings, strict=True)]
        return [scores[row, list(reading.places)].tolist() for row, reading in enumerate(readings)]  # of (B, L)


def _probability(logits: Tensor, label: int) -> Tensor:
    """(..., K) logits of K labels to (...) numbers from 0 to 1."""
    return logits[..., 0].sigmoid() if logits.shape[-1] == 1 else logits.softmax(dim=-1)[..., label]


def _kind(reference: str, architectures: Sequence[str]) -> Kind:
    for kind, suffix in SUFFIXES.items():
        if any(name.endswith(suffix) for name in architectures):
            return kind
    raise ConfigurationError(
        f"reward model {reference!r} is a {', '.join(architectures) or 'model without a head'}; expected a classifier"
        f" ({' or '.join('...' + suffix for suffix in SUFFIXES.values())})"
    )


_SHARED: "WeakValueDictionary[tuple[str, str], RewardModel]" = WeakValueDictionary()
_SHARED_LOCK = threading.Lock()


def shared_reward_model(reference: str, device: str | None) -> RewardModel:
    """The one instance of this process, loaded when it is first asked for, and let go with its last user.

    Args:
        reference: of the model (``decoding.model_reference``).
        device: by its name in torch; None: the process's own accelerator, or the CPU where there is none.

    Raises:
        ConfigurationError: there is no such model or device, or it is no classifier.
    """
    directory = resolve_reference(reference)
    if Path(directory).is_dir():
        directory = str(Path(directory).resolve())
    try:
        where = torch.device(device) if device is not None else _own_device()
    except RuntimeError as error:
        raise ConfigurationError(f"reward model device is {device!r}; expected cpu, cuda or cuda:N") from error
    with _SHARED_LOCK:
        model = _SHARED.get((directory, str(where)))
        if model is None:
            model = RewardModel(reference, directory, where)
            _SHARED[directory, str(where)] = model
        return model


def _own_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
