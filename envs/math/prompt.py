"""The prompt of a mathematics task: short, since small models read it and every rollout pays for it."""

from envs.layout import Tags, instruction
from envs.math.task import MathTask
from envs.transcript import Message

INSTRUCTION = r"Solve the problem step by step. End with the final answer alone in \boxed{}."
NUMBER_INSTRUCTION = (
    r"Solve the problem step by step. End with the final answer, a number without its unit, in \boxed{}."
)


def messages(task: MathTask, *, is_number: bool, tags: Tags) -> list[Message]:
    """One user message: the instruction and the question. ``is_number``: the gold is a plain number."""
    parts = [NUMBER_INSTRUCTION if is_number else INSTRUCTION, instruction(tags, answer="final answer")]
    return [Message(role="user", content=f"{' '.join(filter(None, parts))}\n\n{task.question}")]
