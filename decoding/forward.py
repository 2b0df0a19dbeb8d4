"""A model while it is sampled from: in evaluation mode, without gradients, in step with other processes."""

from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from decoding.lockstep import Lockstep


class SampledModel:
    """Calls a model, and puts it back as it was. A context manager; not to be entered twice at once."""

    def __init__(self, model: PreTrainedModel, lockstep: Lockstep | None) -> None:
        """
        Args:
            model: a causal language model.
            lockstep: keeps its forwards in step with other processes; None: they have nothing to do with them.
        """
        self.model = model
        self._lockstep = lockstep
        self._training: list[torch.nn.Module] | None = None

    def __enter__(self) -> "SampledModel":
        self._training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        return self

    @torch.no_grad()
    def last_logits(self, **inputs: Any) -> Tensor:
        """One forward; the logits (B, V) of each row's last position.

        Raises:
            RuntimeError: the model has not been entered, and might be in training mode.
        """
        if self._training is None:
            raise RuntimeError("a session is a context manager: enter it (`with engine.session() as session`) first")
        if self._lockstep is not None:
            self._lockstep.before_forward()
        return self.model(**inputs, use_cache=True, logits_to_keep=1).logits[:, -1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # After an error the others cannot be helped: to wait for them would hide it.
            if self._lockstep is not None and kind is None:
                self._lockstep.run_out(self._idle_forward)
        finally:
            # One by one: a frozen part that its owner had set to eval stays there.
            for module in self._training or ():
                module.training = True
            self._training = None

    @torch.no_grad()
    def _idle_forward(self) -> None:
        one = torch.ones(1, 1, dtype=torch.long, device=self.model.device)
        self.model(input_ids=torch.zeros_like(one), attention_mask=one, use_cache=False)
