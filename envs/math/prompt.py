"""The prompt of a mathematics task: short, since small models read it and every rollout pays for it."""

from envs.layout import Tags, instruction, step_instruction
from envs.math.task import MathTask
from envs.transcript import Message

INSTRUCTION = r"Solve the problem step by step. End with the final answer alone in \boxed{}."
NUMBER_INSTRUCTION = (
    r"Solve the problem step by step. End with the final answer, a number without its unit, in \boxed{}."
)


def messages(task: MathTask, *, is_number: bool, tags: Tags, max_steps: int) -> list[Message]:
    """One user message: the instruction and the question.

    Args:
        is_number: the gold is a plain number.
        max_steps: how many steps are answered, where the tags ask for them.
    """
    steps = step_instruction(tags, purpose="have expressions computed", result="its value", most=max_steps)
    asked = instruction(tags, answer="final answer", steps=steps)
    parts = [NUMBER_INSTRUCTION if is_number else INSTRUCTION, asked]
    return [Message(role="user", content=f"{' '.join(filter(None, parts))}\n\n{task.question}")]
