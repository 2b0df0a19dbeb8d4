"""One experiment from tasks to report: measure, train, measure again, write it down."""

import json
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig
from transformers import PreTrainedTokenizerBase, PrinterCallback, ProgressCallback
from trl.models import unwrap_model_for_generation

from data.reader import Reading
from data.registry import load_tasks, make_reader
from decoding.decoder import require_window
from decoding.model_reference import RUN_CONFIG, TRAINER_STATE
from decoding.models import load_model, load_tokenizer, window
from decoding.token_budget import counting_tokens
from decoding.transformers_engine import TransformersEngine
from envs.configuration import Parsed
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.registry import make_environment
from envs.task import Task
from eval.main_process import on_main
from eval.measurement import Evaluation, draw_tasks, evaluate, evaluation_from_json
from eval.report import write_records
from eval.report_tables import change_table
from eval.tracking import require_login
from eval.whole_file import write_json, write_text
from rewards.composite import Composite
from train.callbacks import ProgressBar, RunRecorder
from train.config import LoraOptions, RunConfig
from train.report import write_training_report
from train.reward_state import RewardState
from train.rollout_engine import make_vllm
from train.run_directory import RunDirectory
from train.tasks import rewardable
from train.tracking import open_tracking
from train.trainer import StructuredGRPOTrainer


def run(parsed: Parsed[RunConfig], *, resume: bool) -> RunDirectory:
    """Runs the configured experiment, or goes on with it.

    Everything that a user can get wrong is checked before the first file is written.

    Raises:
        ConfigurationError: whatever is wrong with the configuration, the model, the data or the output directory.
    """
    config = parsed.config
    started = time.perf_counter()
    directory = on_main(lambda: RunDirectory.prepare(config.output, config.name, resume=resume))
    on_main(lambda: require_login(config.tracking.wandb))
    environment = make_environment(config.environment)
    composite = Composite(environment, config.reward)
    config.heldout.require(environment)
    reader = make_reader(config.data, environment)
    train = rewardable(load_tasks(reader, environment, "train"), environment, composite)
    heldout = load_tasks(reader, environment, "heldout")
    heldout_tasks = draw_tasks(heldout.tasks, config.heldout)
    tokenizer = load_tokenizer(config.model.reference, config.model.chat_template_options)
    environment = counting_tokens(environment, tokenizer)
    trainer, recorder = _build(parsed, directory, environment, composite, train, heldout_tasks, tokenizer)
    tracker = _open(parsed, directory)
    recorder.tracker = tracker
    try:
        before = _measure("before", trainer, environment, heldout_tasks, parsed, directory)
        trained = _train(trainer, directory, resume)
        _save(trainer, tokenizer, directory, parsed)
        after = _measure("after", trainer, environment, heldout_tasks, parsed, directory)
        if PartialState().is_main_process:
            costs = {
                "seconds of training, this start": trained,
                "seconds in all, this start": time.perf_counter() - started,
                "seconds generating rollouts": trainer.ledger.generate_seconds,
                "seconds judging rollouts": trainer.ledger.judge_seconds,
                "peak memory, MiB": _peak_memory_mib(),
            }
            skipped = Counter(train.skipped) + Counter(heldout.skipped)
            write_training_report(
                directory,
                config,
                resolved=parsed.resolved,
                before=before,
                after=after,
                skipped=skipped,
                costs=costs,
                ledger=trainer.ledger,
            )
            _log_change(tracker, before, after)
            print(f"\n{change_table(before.measurements, after.measurements)}\n")
            print(f"report: {directory.path / 'report.md'}")
    finally:
        if tracker is not None:
            tracker.finish()
    return directory


def _build(
    parsed: Parsed[RunConfig],
    directory: RunDirectory,
    environment: Environment[Any],
    composite: Composite,
    train: Reading,
    heldout: list[Task],
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[StructuredGRPOTrainer, RunRecorder]:
    """The trainer, and the callback that keeps its records."""
    config = parsed.config
    args = config.trainer
    args.output_dir = str(directory.checkpoints)
    args.report_to = ["wandb"] if config.tracking.wandb != "disabled" else []
    args.disable_tqdm = True
    if config.reward.normalization == "parts":
        args.multi_objective_aggregation = "normalize_then_sum"
    # Pinned memory is for copies to an accelerator; without one torch warns about it.
    args.dataloader_pin_memory = args.dataloader_pin_memory and torch.cuda.is_available()
    config.rollout.require_engine(processes=PartialState().num_processes, temperature=args.temperature)
    model = load_model(config.model)
    longest = max(args.max_completion_length, config.heldout.max_new_tokens)
    require_window(tokenizer, environment, [*train.tasks, *heldout], max_new_tokens=longest, window=window(model))
    engine = None
    if config.rollout.engine == "vllm":
        _require_vllm_window(config, tokenizer, environment, train.tasks)
        engine = make_vllm(config.model.reference, tokenizer, config.rollout.vllm)
    recorder = RunRecorder(directory, parsed.resolved, config.tracking.transcripts)
    trainer = StructuredGRPOTrainer(
        model=model,
        tokenizer=tokenizer,
        environment=environment,
        composite=composite,
        normalization=config.reward.normalization,
        reward_state=RewardState(config.reward.unjudged),
        tasks=train.tasks,
        args=args,
        rollout=config.rollout,
        credit=config.credit,
        prefix_tree=config.prefix_tree,
        engine=engine,
        peft_config=_peft_config(config.lora) if config.lora else None,
        callbacks=[ProgressBar(), recorder],
    )
    recorder.trainer = trainer
    # Two bars, or a dictionary printed at every step, would only hide the one line that matters.
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    if config.lora:
        # The reference, not the cache directory it stands for on this machine: the adapter must load elsewhere too.
        trainer.model.peft_config["default"].base_model_name_or_path = config.model.reference
    return trainer, recorder


def _require_vllm_window(
    config: RunConfig, tokenizer: PreTrainedTokenizerBase, environment: Environment[Any], tasks: Sequence[Task]
) -> None:
    """Checks that every training prompt and its answer fit what ``rollout.vllm`` leaves of the model's window."""
    most = config.rollout.vllm.get("max_model_len")
    if not isinstance(most, int) or most < 1:
        return  # vLLM makes out how many there are
    try:
        require_window(tokenizer, environment, tasks, max_new_tokens=config.trainer.max_completion_length, window=most)
    except ConfigurationError as error:
        raise ConfigurationError(f"rollout.vllm.max_model_len is {most}: {error}") from error


def _peft_config(options: LoraOptions) -> LoraConfig:
    return LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=options.target_modules,
        task_type="CAUSAL_LM",
    )


def _open(parsed: Parsed[RunConfig], directory: RunDirectory) -> Any | None:
    """Makes the run's directory and opens tracking, in the main process."""
    state = PartialState()
    tracker = None
    if state.is_main_process:
        write_text(directory.config, parsed.resolved)
        tracker = open_tracking(parsed.config, directory.path, parsed.resolved)
    state.wait_for_everyone()
    return tracker


def _measure(
    moment: str,
    trainer: StructuredGRPOTrainer,
    environment: Environment[Any],
    tasks: list[Task],
    parsed: Parsed[RunConfig],
    directory: RunDirectory,
) -> Evaluation:
    """The held-out measurement of a moment; one already made at this step is read back, not made again."""
    path = directory.measurement(moment)
    step = trainer.state.global_step
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if moment == "before" or kept["step"] == step:
            return evaluation_from_json(kept["evaluation"])
    heldout = parsed.config.heldout
    trainer.model.to(trainer.accelerator.device)
    with (
        unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as policy,
        trainer.accelerator.autocast(),
    ):
        engine = TransformersEngine(policy, trainer.processing_class, max_batch_rows=heldout.max_batch_rows)
        evaluation = evaluate(
            engine, trainer.processing_class, environment, tasks, heldout, title=moment, window=window(trainer.model)
        )
    if trainer.accelerator.is_main_process:
        write_json(path, {"step": step, "evaluation": asdict(evaluation)})
        write_records(directory.path / f"{moment}.jsonl", evaluation.records)
    trainer.accelerator.wait_for_everyone()
    return evaluation


def _train(trainer: StructuredGRPOTrainer, directory: RunDirectory, resume: bool) -> float:
    """Trains, from the last checkpoint when there is one to resume from; returns the seconds it took."""
    checkpoint = directory.last_checkpoint() if resume else None
    if resume and checkpoint is None and trainer.accelerator.is_main_process:
        print("no checkpoint was saved yet: training starts at step 0")
    if checkpoint is not None:
        trainer.require_resumable(str(checkpoint))
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return time.perf_counter() - started


def _save(
    trainer: StructuredGRPOTrainer,
    tokenizer: PreTrainedTokenizerBase,
    directory: RunDirectory,
    parsed: Parsed[RunConfig],
) -> None:
    trainer.save_model(str(directory.model))
    if trainer.accelerator.is_main_process:
        tokenizer.save_pretrained(directory.model)
        trainer.state.save_to_json(str(directory.model / TRAINER_STATE))
        write_text(directory.model / RUN_CONFIG, parsed.resolved)


def _log_change(tracker: Any | None, before: Evaluation, after: Evaluation) -> None:
    """Held-out means as summary values of the wandb run."""
    if tracker is None:
        return
    for moment, evaluation in (("before", before), ("after", after)):
        for decoding, measurement in evaluation.measurements.items():
            for metric, estimate in measurement.metrics.items():
                if estimate is not None:
                    tracker.summary[f"heldout/{decoding}/{metric}/{moment}"] = estimate.mean


def _peak_memory_mib() -> float:
    """The most accelerator memory, or else main memory, that this process has held, in MiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
