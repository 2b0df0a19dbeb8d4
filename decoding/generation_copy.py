"""A second copy of the policy, on a device of its own, that only generates.

While one device holds gradients and optimizer, another can hold the key-value cache of many more rows. The copy takes
over the policy's weights before each batch. Not covered: weights that are divided between processes (ZeRO-3, FSDP).
"""

import copy

import torch
from torch import nn
from transformers import PreTrainedModel

from envs.errors import ConfigurationError


class GenerationCopy:
    """The policy as it is generated from."""

    def __init__(self, device: str) -> None:
        """
        Args:
            device: where the copy lives: ``cuda:1``.

        Raises:
            ConfigurationError: there is no such device here.
        """
        try:
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError) as error:
            raise ConfigurationError(
                f"rollout.device {device!r} cannot be used: {str(error).splitlines()[0]}; give a device that PyTorch"
                " sees here (cuda:1), or leave it out"
            ) from error
        self._device = torch.device(device)
        self._copy: PreTrainedModel | None = None
        self._moving: list[tuple[nn.Parameter, nn.Parameter]] = []

    @torch.no_grad()
    def of(self, policy: PreTrainedModel) -> PreTrainedModel:
        """The copy, with the weights that the policy has now. Those that are never trained are copied once."""
        if self._copy is None:
            self._copy = self._make(policy)
            ours = dict(self._copy.named_parameters())
            self._moving = [(ours[name], theirs) for name, theirs in policy.named_parameters() if theirs.requires_grad]
        for mine, theirs in self._moving:
            mine.copy_(theirs)
        return self._copy

    def _make(self, policy: PreTrainedModel) -> PreTrainedModel:
        # What deepcopy finds in its memory it takes as copied: the tensors never lie twice on the policy's device.
        memory: dict[int, object] = {}
        for parameter in policy.parameters():
            memory[id(parameter)] = nn.Parameter(parameter.detach().to(self._device, copy=True), requires_grad=False)
        for buffer in policy.buffers():
            memory[id(buffer)] = buffer.detach().to(self._device, copy=True)
        made = copy.deepcopy(policy, memory)
        for module in made.modules():
            # Trainers put functions in the place of a module's forward (a fused head, autocast), which call the
            # module that they were made for: the copy must have its class's own.
            module.__dict__.pop("forward", None)
            module.__dict__.pop("_original_forward", None)
        return made
