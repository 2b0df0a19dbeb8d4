"""A small model that answers some tasks, after a short supervised warm-up on a CPU: decoders can be compared with it.

    python benchmarks/warm_model.py --kind sql --data SPIDER --minutes 25 --output runs/warm_sql
    python benchmarks/warm_model.py --kind gsm8k --data GSM8K --minutes 20 --output runs/warm_gsm8k

Trains on transcripts of the training split (``warm_transcripts.py``) that the environment judges correct, with the
environment's own prompts; the loss is on the tokens that the model would write, end of text included, and not on
observations. OUTPUT holds what ``eval/run.py --model OUTPUT`` loads, and ``evaluation.yaml``, the configuration for it.

Examples are trained in packs with equal instructions and schema: what their prompts begin with is read once, and each
example goes on from its keys and values, which gives the gradients that whole rows give. The learning rate falls as a
cosine of the time that has passed, so that any number of minutes is a whole schedule. Minutes are processor time, all
threads together divided by their number: on a shared machine the clock takes longer and the model learns as much. Set
OMP_WAIT_POLICY=passive there, or threads burn their time waiting for each other.

The last line of standard output is one JSON object. Not covered: several processes, resuming.
"""

import argparse
import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.token_budget import counting_tokens
from envs.errors import ConfigurationError
from envs.registry import EnvironmentConfig, make_environment

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.measured_model import MODEL, quiet, require_options  # noqa: E402
from benchmarks.warm_examples import (  # noqa: E402
    ENVIRONMENTS,
    READERS,
    Example,
    make_packs,
    training_environment,
)

HELDOUT: dict[str, dict[str, Any]] = {
    "sql": {
        "metrics": ["correct", "agrees_on_database", "executed", "format"],
        "max_new_tokens": 320,
        "max_turn_tokens": 128,
    },
    "gsm8k": {"metrics": ["correct", "boxed"], "max_new_tokens": 256},
}
WARM_UP = 0.04
"""The share of the time in which the learning rate rises."""
BETAS = (0.9, 0.98)
CURVE_POINTS = 25
LOGGED = 10
"""Steps between two lines of the log."""


def main() -> None:
    """Parses the command line, trains, saves, reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=sorted(READERS), required=True, help="what is learned")
    parser.add_argument("--data", required=True, help="directory of Spider or GSM8K, in the official layout")
    parser.add_argument("--output", type=Path, required=True, help="directory for the model; must not exist")
    parser.add_argument("--minutes", type=float, default=25.0, help="of processor time to train (default: 25)")
    parser.add_argument("--wall-minutes", type=float, default=math.inf, help="at most, by the clock (default: any)")
    parser.add_argument("--model", default=MODEL, help="where training begins (default: %(default)s)")
    parser.add_argument("--rank", type=int, default=32, help="of the LoRA adapter; 0: full weights (default: 32)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="its peak (default: %(default)s)")
    parser.add_argument("--examples", type=int, default=3000, help="at most, without repeats (default: %(default)s)")
    parser.add_argument("--most-tokens", type=int, default=640, help="of prompt and answer (default: %(default)s)")
    parser.add_argument("--pack", type=int, default=8, help="examples of a step (default: %(default)s)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16", help="of matrix products")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of examples, order and adapter (default: %(default)s)")
    options = parser.parse_args()
    least = {"examples": 1, "most_tokens": 1, "pack": 1, "rank": 0, "threads": 1}
    require_options(parser, argparse.Namespace(**vars(options), device="cpu"), least)
    if not (options.minutes > 0 and options.wall_minutes > 0):
        parser.error(f"--minutes {options.minutes:g} --wall-minutes {options.wall_minutes:g}: both must be above 0")
    if options.output.exists():
        parser.error(f"--output '{options.output}' exists; remove it or name another")
    try:
        warm(options)
    except ConfigurationError as error:
        parser.error(str(error))


def warm(options: argparse.Namespace) -> None:
    """Trains as the command line says.

    Raises:
        ConfigurationError: the model or the data cannot be read, or no example is left.
    """
    quiet()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    draw = random.Random(options.seed)
    tokenizer = load_tokenizer(options.model)
    environment = make_environment(EnvironmentConfig(**training_environment(options.kind)))
    started = time.perf_counter()
    packs = make_packs(
        options.kind,
        options.data,
        counting_tokens(environment, tokenizer),
        tokenizer,
        draw,
        most_examples=options.examples,
        most_tokens=options.most_tokens,
        size=options.pack,
    )
    made = {"prepare_s": round(time.perf_counter() - started), "packs": len(packs), "examples": sum(map(len, packs))}
    print(json.dumps(made), file=sys.stderr, flush=True)
    model = trainable(load_model(ModelConfig(reference=options.model)), options)
    said = train(model, packs, options, draw)
    model.save_pretrained(options.output)
    tokenizer.save_pretrained(options.output)
    configuration = evaluation(options)
    (options.output / "evaluation.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    if math.isinf(options.wall_minutes):
        settings["wall_minutes"] = None
    print(json.dumps({**settings, **made, **said, "eval": configuration}))


def trainable(model: PreTrainedModel, options: argparse.Namespace) -> Any:
    """The model with an adapter, or with all weights but the embedding's to be trained."""
    if options.rank == 0:
        model.get_input_embeddings().weight.requires_grad_(False)
        return model.train()
    lora = LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, lora)
    # The reference and not the directory that it stands for here: the adapter must load elsewhere too.
    adapted.peft_config["default"].base_model_name_or_path = options.model
    return adapted.train()


def train(
    model: Any, packs: Sequence[list[Example]], options: argparse.Namespace, draw: random.Random
) -> dict[str, Any]:
    """One step a pack until the time is over; what it came to."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=options.learning_rate, betas=BETAS, weight_decay=0.0, fused=True)
    worked, clock = time.process_time(), time.perf_counter()
    losses: list[tuple[float, float]] = []
    seen = 0
    for pack in endless(packs, draw):
        minutes = (time.process_time() - worked) / options.threads / 60
        wall = (time.perf_counter() - clock) / 60
        passed = max(minutes / options.minutes, wall / options.wall_minutes)
        if passed >= 1:
            break
        rate = options.learning_rate * min(1.0, passed / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * passed))
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=options.dtype == "bfloat16"):
            loss = pack_loss(model, pack)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += len(pack)
        losses.append((passed, loss.item()))
        if len(losses) % LOGGED == 0:
            mean = sum(value for _, value in losses[-LOGGED:]) / LOGGED
            line = f"{passed:4.0%}  {minutes:.1f} min of work, {wall:.1f} by the clock  {seen} seen  loss {mean:.3f}"
            print(line, file=sys.stderr, flush=True)
    curve = [
        [round((point + 1) / CURVE_POINTS, 2), round(sum(part) / len(part), 3)]
        for point in range(CURVE_POINTS)
        if (part := [value for at, value in losses if point <= at * CURVE_POINTS < point + 1])
    ]
    times = {"work_s": round(time.process_time() - worked), "wall_s": round(time.perf_counter() - clock)}
    return {"steps": len(losses), "examples_seen": seen, **times, "share_of_time_and_loss": curve}


def endless(packs: Sequence[list[Example]], draw: random.Random) -> Iterator[list[Example]]:
    """All packs in random order, again and again."""
    while True:
        yield from draw.sample(packs, len(packs))


def pack_loss(model: Any, pack: Sequence[Example]) -> torch.Tensor:
    """Mean negative log-likelihood of the tokens that the model writes.

    Of the beginning that all prompts share the last token stays with each row where they are equal: the first token of
    a completion is predicted from it.
    """
    shared = os.path.commonprefix([example.prompt[:-1] for example in pack])
    rows = [(one.prompt[len(shared) :] + one.completion)[:-1] for one in pack]
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    seen = torch.zeros(len(rows), len(shared) + longest, dtype=torch.long)
    for place, (row, one) in enumerate(zip(rows, pack, strict=True)):
        ids[place, : len(row)] = torch.tensor(row)
        targets = [token if is_learned else -100 for token, is_learned in zip(one.completion, one.learned, strict=True)]
        labels[place, len(row) - len(targets) : len(row)] = torch.tensor(targets)
        seen[place, : len(shared) + len(row)] = 1
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    cache = None
    if shared:
        cache = causal.model(torch.tensor([shared]), use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(rows))
    positions = torch.arange(len(shared), len(shared) + longest).expand(len(rows), -1)
    hidden = causal.model(ids, past_key_values=cache, attention_mask=seen, position_ids=positions).last_hidden_state
    is_target = labels != -100
    return torch.nn.functional.cross_entropy(causal.lm_head(hidden[is_target]).float(), labels[is_target])


def evaluation(options: argparse.Namespace) -> dict[str, Any]:
    """The configuration of ``eval/run.py`` that measures the model as it was trained."""
    return {
        "model": str(options.output),
        "name": f"eval-{options.output.name}",
        "environment": ENVIRONMENTS[options.kind],
        "data": {"reader": READERS[options.kind], "options": {"path": options.data}},
        "heldout": {
            **HELDOUT[options.kind],
            "decodings": {"greedy": {"temperature": 0.0}, "free": {"temperature": 1.0, "samples": 8}},
        },
    }


if __name__ == "__main__":
    main()
