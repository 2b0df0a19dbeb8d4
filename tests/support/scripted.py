"""An environment and an engine whose answers are scripts, for tests of what lies between them.

The model is a function from all that was said to what it says next, in the tokens of a real tokenizer, cut where an
engine would cut it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from decoding.engine import Generation, Request
from decoding.replay_session import ReplaySession
from decoding.token_text import encode_text
from envs.examination import Examination
from envs.grammar import Grammar
from envs.layout import Tags
from envs.task import Task
from envs.transcript import END, UNSAID, Message, Observation, Transcript
from envs.verdict import Verdict

STEP, ANSWER = "</step>", "</answer>"
Script = Callable[[str, Random], str]


@dataclass(kw_only=True)
class Echo:
    """Answers a step with what it held, and ends at the answer; notes what it was asked, and how many at once."""

    delay: float = 0.0
    longest_observation: int = 8
    language: Callable[[Transcript], Grammar] | None = None
    tags: Tags = Tags(step="step", observation="result", answer="answer")
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: Any = field(default_factory=threading.Lock)

    name = "echo"
    stops = (STEP, ANSWER)

    def prompt(self, task: Task) -> list[Message]:
        return [{"role": "user", "content": task.id}]

    def grammar(self, task: Task, transcript: Transcript = UNSAID) -> Grammar | None:
        return None if self.language is None else self.language(transcript)

    def reference(self, task: Task) -> str:
        return "<answer>yes</answer>"

    def observe(self, task: Task, transcript: Transcript) -> Observation | None:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.delay)
        with self.lock:
            self.at_once -= 1
            self.asked.append(transcript.text)
        last = transcript.segments[-1].text
        assert transcript.segments[-1].author == "model"
        if ANSWER in last:
            return END
        asked = last.rpartition("<step>")[2].partition(STEP)[0]
        return None if asked == "think" else Observation(text=f"<result>{asked}</result>", digest=asked)

    def judge(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Verdict]:
        return [
            Verdict(answer=text.model_text, is_correct="yes" in text.model_text, is_truncated=text.is_truncated)
            for _, text in episodes
        ]

    def examine(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Examination]:
        """An answer means what stands in it, and says of itself whether it is ``bad``."""
        return [self._examination(text.model_text) for _, text in episodes]

    @staticmethod
    def _examination(text: str) -> Examination:
        _, opening, said = text.rpartition("<answer>")
        if not opening:
            return Examination(error="empty", message="there is no answer yet")
        answer = said.partition(ANSWER)[0]
        if "bad" in answer:
            return Examination(answer=answer, digest=answer, error="bad", message=f"{answer} is bad")
        return Examination(answer=answer, digest=answer, is_valid=True, message=f"{answer} is fine")


@dataclass(kw_only=True)
class ScriptedEngine:
    """An engine whose model is a script. Its tokens are those of the tokenizer, one more for the end of the text."""

    tokenizer: Any
    script: Script
    prompt: str = "assistant\n"
    requests: list[Request] = field(default_factory=list)

    def session(self) -> ReplaySession:
        return ReplaySession(self.generate)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        self.requests += requests
        return [self._generation(request, sample) for request in requests for sample in range(request.n)]

    def _generation(self, request: Request, sample: int) -> Generation:
        said = self.tokenizer.decode(request.prompt_ids, skip_special_tokens=True).rpartition(self.prompt)[2]
        ids = [
            *encode_text(
                self.tokenizer, self.script(said, Random(request.seed if sample == 0 else f"{request.seed}:{sample}"))
            ),
            self.tokenizer.eos_token_id,
        ]
        before = self.tokenizer.decode(request.prompt_ids[len(request.prompt_ids) - request.written :])
        for count in range(1, len(ids) + 1):
            text = before + self.tokenizer.decode(ids[:count])
            if ids[count - 1] == self.tokenizer.eos_token_id:
                return self._made(ids[:count], "eos")
            if any(text.count(stop) > before.count(stop) for stop in request.stops):
                return self._made(ids[:count], "stop")
            if count == request.max_new_tokens:
                return self._made(ids[:count], "length")
        raise AssertionError("a script ends")

    @staticmethod
    def _made(ids: Sequence[int], finish: Any) -> Generation:
        return Generation(token_ids=tuple(ids), logprobs=(-1.0,) * len(ids), log_z=None, finish=finish)
