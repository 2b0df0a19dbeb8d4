"""Two processes whose model needs both for each forward: run by ``test_lockstep.py`` with a folder for reports."""

import datetime
import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import AutoModelForCausalLM, Lfm2Config, LlamaConfig

from decoding.engine import Request
from decoding.lockstep import ProcessLockstep
from decoding.transformers_engine import TransformersEngine

SHAPE = {
    "vocab_size": 60, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 59,
}  # fmt: skip
CONFIGS = {
    "cached": LlamaConfig(**SHAPE),
    "replayed": Lfm2Config(**SHAPE, full_attn_idxs=[1], block_multiple_of=8),
}


class Tokenizer:
    """As much of one as texts without stops need."""

    eos_token_id = 59


def collective_model(kind: str, forwards: list[int]) -> Any:
    """A model whose forward fails or hangs unless both processes are in theirs, as if its weights lay in both."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind])

    def gather(module: Any, inputs: Any) -> None:
        parts = torch.full((5,), 0.5)
        dist.all_reduce(parts)
        assert parts.tolist() == [1.0] * 5, f"one process is in a forward and the other is not: {parts}"
        forwards.append(1)

    model.register_forward_pre_hook(gather)
    return model


def converse(engine: TransformersEngine, *, rows: int, turns: int, seed: int) -> int:
    """Ragged turns of ragged rows; the number of turns that were made."""
    made = 0
    with engine.session() as session:
        if rows:
            session.open(Request(prompt_ids=[3] * (seed + 2), max_new_tokens=2 + seed, n=rows, seed=seed))
        while not session.is_idle:
            for row, _ in session.step():
                made += 1
                if made < turns:
                    session.extend(row, [4] * (made % 3), max_new_tokens=1 + made % 4)
                else:
                    session.close(row)
    return made


def run(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=20)
    )
    report: dict[str, dict[str, int]] = {}
    for kind in CONFIGS:
        forwards: list[int] = []
        engine = TransformersEngine(collective_model(kind, forwards), Tokenizer(), lockstep=ProcessLockstep())
        made = converse(engine, rows=3, turns=(3, 9)[rank], seed=rank)
        made += converse(engine, rows=(2, 0)[rank], turns=4, seed=0)  # the second process has no row at all
        request = Request(prompt_ids=[5, 6], max_new_tokens=6, n=2, seed=0)
        made += len(engine.generate([request] if rank else []))
        report[kind] = {"turns": made, "forwards": len(forwards)}
    dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(report))


def main(folder: Path) -> int:
    # Forked after the imports, which are most of what this costs, and before torch has computed anything.
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=run, args=(rank, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return max(abs(process.exitcode or 0) for process in processes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
