"""TRL's head under masks: log q, entropy of q and log Z of hidden states, without their logits in full.

Sampling under a grammar draws from q(v|s) = p(v|s) 1[v in M] / Z with Z = p(M|s), so that with the logits z at the
sampling temperature

    log q(y|s) = z_y - logsumexp_{v in M} z_v        log Z = logsumexp_{v in M} z_v - logsumexp_v z_v

and the gradient of log q with respect to z_v is 1[v = y] - q(v|s): tokens outside of the mask have none. One pass over
tiles of the vocabulary gives all three, and one more their gradients, as in TRL's own function
(``trl.kernels.ChunkedLogProbFunction``), in whose place it stands while a model is called within ``masked_head``. So
temperature, soft caps, logit scale, gathered weights and autocast remain TRL's business.

Not covered: a Triton kernel. On a GPU the tiles are folded by torch's own operations, which read a tile several times.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from trl.trainer import utils as trl_head
from trl.trainer.utils import maybe_gather_lm_head_ctx

# Tokens of a tile; TRL says how wide it is.
TILE_TOKENS = 1024
INFINITY = float("inf")


class MaskedHead:
    """What TRL's head calls in place of its own function; keeps log Z of the latest call."""

    def __init__(self, numbers: Tensor, words: Tensor) -> None:
        """
        Args:
            numbers: (N,) int64: which mask each hidden state has; negative: none, so that q is p.
            words: (K, W) int32: masks, as ``train.mask_replay.TokenMasks`` has them.
        """
        self._numbers = numbers
        self._words = words
        self.log_z: Tensor | None = None
        """(N,) without gradient; 0 where there is no mask."""

    def apply(
        self,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        chunk_size: int,
        soft_cap: float | None,
        logit_scale: float,
        outputs: tuple[str, ...],
    ) -> tuple[Tensor | None, ...]:
        """As ``ChunkedLogProbFunction.apply``, of q; of the optional outputs it knows the entropy alone.

        Args:
            hidden: (N, H); on devices where TRL leaves out what has no label, the first N of those with a number.
        """
        transform = _Logits(temperature=temperature, soft_cap=soft_cap, scale=logit_scale)
        numbers, words = (value.to(hidden.device) for value in (self._numbers[: len(hidden)], self._words))
        log_q, entropy, self.log_z = MaskedLogProbs.apply(
            hidden, weight, bias, targets, numbers, words, transform, chunk_size
        )
        return log_q, entropy if "entropy" in outputs else None, None, None, None


@contextmanager
def masked_head(numbers: Tensor, words: Tensor) -> Iterator[MaskedHead]:
    """Within it, a model with TRL's fused head gives log q and the entropy of q; see ``MaskedHead``."""
    head = MaskedHead(numbers, words)
    own = trl_head._ChunkedLogProbFunction
    trl_head._ChunkedLogProbFunction = head
    try:
        yield head
    finally:
        trl_head._ChunkedLogProbFunction = own


class _Logits:
    """From what the head's matrix gives to logits at the sampling temperature, and back for gradients."""

    def __init__(self, *, temperature: float, soft_cap: float | None, scale: float) -> None:
        self._temperature = temperature
        self._soft_cap = soft_cap
        self._scale = scale

    def of(self, projected: Tensor) -> Tensor:
        logits = projected.float() * self._scale
        if self._soft_cap is not None:
            logits = self._soft_cap * torch.tanh(logits / self._soft_cap)
        return logits / self._temperature

    def gradient(self, of_logits: Tensor, logits: Tensor) -> Tensor:
        """The gradient with respect to what was projected, by that with respect to the logits."""
        slope = self._scale / self._temperature
        if self._soft_cap is None:
            return of_logits * slope
        return of_logits * (slope * (1 - (logits * self._temperature / self._soft_cap) ** 2))


class MaskedLogProbs(torch.autograd.Function):
    """(N,) log q of the targets, (N,) entropy of q, (N,) log Z (without gradient), in float32."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        numbers: Tensor,
        words: Tensor,
        transform: _Logits,
        chunk_size: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            hidden: (N, H).
            weight: (V, H) of the head, gathered.
            bias: (V,).
            targets: (N,).
            numbers: (N,) which mask each hidden state has; negative: none.
            words: (K, W).
            transform: what becomes of the projection.
            chunk_size: width of a tile in the vocabulary, a multiple of 32.
        """
        ctx.set_materialize_grads(False)
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        statistics = []
        for rows in _slices(len(hidden), TILE_TOKENS):
            fold = _Fold(targets[rows], numbers[rows], words)
            for columns in _slices(len(weight), chunk_size):
                fold.add(transform.of(_project(hidden[rows], weight, bias, columns, dtype)), columns)
            statistics.append(fold.result())
        empty = hidden.new_zeros(4, 0, dtype=torch.float32)
        log_q, entropy, log_z, log_mass = torch.cat(statistics, dim=1) if statistics else empty
        ctx.save_for_backward(hidden, weight, bias, targets, numbers, words, log_mass, entropy)
        ctx.options = transform, chunk_size, dtype
        ctx.mark_non_differentiable(log_z)
        return log_q, entropy, log_z

    @staticmethod
    def backward(ctx: Any, of_log_q: Tensor | None, of_entropy: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        """The gradient with respect to the logits is g (1[y] - q) - h q (log q + H), for gradients g of log q and h of
        the entropy H; with respect to hidden states, weight and bias it is summed up over tiles in float32."""
        hidden, weight, bias, targets, numbers, words, log_mass, entropy = ctx.saved_tensors
        transform, chunk_size, dtype = ctx.options
        # ZeRO-3 has taken the weight back since.
        with maybe_gather_lm_head_ctx(weight, bias):
            sums = [
                torch.zeros(value.shape, dtype=torch.float32, device=value.device) if is_needed else None
                for value, is_needed in zip((hidden, weight, bias), ctx.needs_input_grad[:3], strict=True)
            ]
            of_hidden, of_weight, of_bias = sums
            for rows in _slices(len(hidden), TILE_TOKENS):
                for columns in _slices(len(weight), chunk_size):
                    logits = transform.of(_project(hidden[rows], weight, bias, columns, dtype))
                    of_logits = _of_logits(
                        logits, targets[rows] - columns.start, _allowed(words, numbers[rows], columns),
                        log_mass[rows, None], entropy[rows, None],
                        None if of_log_q is None else of_log_q[rows, None],
                        None if of_entropy is None else of_entropy[rows, None],
                    )  # fmt: skip
                    tile = transform.gradient(of_logits, logits).to(dtype)
                    if of_hidden is not None:
                        of_hidden[rows] += tile.float() @ weight[columns].to(dtype).float()
                    if of_weight is not None:
                        of_weight[columns] += tile.t().float() @ hidden[rows].to(dtype).float()
                    if of_bias is not None:
                        of_bias[columns] += tile.sum(dim=0, dtype=torch.float32)
        cast = [None if s is None else s.to(v.dtype) for s, v in zip(sums, (hidden, weight, bias), strict=True)]
        return (*cast, None, None, None, None, None)


class _Fold:
    """Sums over the vocabulary, tile by tile, that overflow nowhere: each is kept relative to a running maximum."""

    def __init__(self, targets: Tensor, numbers: Tensor, words: Tensor) -> None:
        self._targets, self._numbers, self._words = targets, numbers, words
        zeros = torch.zeros(len(targets), dtype=torch.float32, device=targets.device)
        self._target = zeros.clone()
        self._top, self._total = zeros - INFINITY, zeros.clone()
        self._allowed_top, self._allowed_total, self._allowed_sum = zeros - INFINITY, zeros.clone(), zeros.clone()

    def add(self, logits: Tensor, columns: slice) -> None:
        """
        Args:
            logits: (n, width) of these tokens.
            columns: which tokens of the vocabulary they are of.
        """
        place = self._targets - columns.start
        is_here = (place >= 0) & (place < logits.shape[1])
        chosen = logits.gather(1, place.clamp(0, logits.shape[1] - 1)[:, None]).squeeze(1)
        self._target = torch.where(is_here, chosen, self._target)
        self._total, self._top = _rescaled(self._total, self._top, logits)
        self._total += (logits - self._top[:, None]).exp().sum(1)
        allowed = _allowed(self._words, self._numbers, columns)
        masked = logits if allowed is None else logits.masked_fill(~allowed, -INFINITY)
        before = self._allowed_top
        self._allowed_total, self._allowed_top = _rescaled(self._allowed_total, before, masked)
        self._allowed_sum = _rescaled(self._allowed_sum, before, masked)[0]
        # Where nothing was allowed yet there is nothing to be relative to.
        top = self._allowed_top.masked_fill(self._allowed_top == -INFINITY, 0)
        exponentials = (masked - top[:, None]).exp()
        self._allowed_total += exponentials.sum(1)
        self._allowed_sum += (exponentials * logits).sum(1)

    def result(self) -> Tensor:
        """(4, n): log q, entropy of q, log Z, and the logarithm of the sum of all allowed exponentials."""
        log_mass = self._allowed_top + self._allowed_total.log()
        log_z = (log_mass - self._top - self._total.log()).clamp(max=0).masked_fill(self._numbers < 0, 0)
        entropy = log_mass - self._allowed_sum / self._allowed_total
        return torch.stack([self._target - log_mass, entropy, log_z, log_mass])


def _rescaled(total: Tensor, top: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """A sum that was relative to ``top``, relative to the maximum that takes its place; and that maximum."""
    new = torch.maximum(top, logits.amax(1))
    return torch.where(top == -INFINITY, total, total * (top - new).exp()), new


def _of_logits(
    logits: Tensor,
    targets: Tensor,
    allowed: Tensor | None,
    log_mass: Tensor,
    entropy: Tensor,
    of_log_q: Tensor | None,
    of_entropy: Tensor | None,
) -> Tensor:
    """(n, width) the gradient with respect to a tile of logits; the targets are counted from its first column."""
    log_q = logits - log_mass
    q = log_q.exp()
    gradient = torch.zeros_like(logits)
    if of_log_q is not None:
        is_target = torch.arange(logits.shape[1], device=logits.device) == targets[:, None]
        gradient += of_log_q * (is_target.float() - q)
    if of_entropy is not None:
        gradient -= of_entropy * q * (log_q + entropy)
    # What q excludes may be anything up to here, infinite too.
    return gradient if allowed is None else gradient.masked_fill(~allowed, 0)


def _project(hidden: Tensor, weight: Tensor, bias: Tensor | None, columns: slice, dtype: torch.dtype) -> Tensor:
    projected = hidden.to(dtype) @ weight[columns].to(dtype).t()
    return projected if bias is None else projected + bias[columns].to(dtype)


def _allowed(words: Tensor, numbers: Tensor, columns: slice) -> Tensor | None:
    """(n, width) whether a token may come; None: all may. Tokens beyond a mask's words may not."""
    if not len(words):
        return None
    # Byte by byte, because a bit of a word takes four bytes as long as it is one of an int32.
    here = words[:, columns.start // 32 : -(-columns.stop // 32)]
    bytes_ = here[numbers.clamp(min=0)].contiguous().view(torch.uint8)
    shifts = torch.arange(8, dtype=torch.uint8, device=words.device)
    bits = (bytes_[:, :, None] >> shifts & 1).flatten(1).bool()
    width = columns.stop - columns.start
    bits = torch.nn.functional.pad(bits, (0, max(0, width - bits.shape[1])))[:, :width]
    return bits | (numbers < 0)[:, None]


def _slices(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
