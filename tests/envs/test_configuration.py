"""Filling dataclasses from YAML and flags: what is refused and how, and that the resolved text gives the same again."""

import dataclasses
import enum
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from envs.configuration import Parsed, parse
from envs.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One of several."""

    weight: float
    """How much."""
    label: str | None = None
    """What it is called."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A section."""

    count: int = 3
    """How many."""
    mode: Literal["fast", "exact"] = "fast"
    """In which way."""
    limit: int | None = None
    """The most there may be."""
    names: Sequence[str] = dataclasses.field(default_factory=list)
    """Which ones."""

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigurationError(f"count must not be negative, got {self.count}")


class Kind(enum.Enum):
    """A foreign enumeration."""

    PLAIN = "plain"


@dataclasses.dataclass(kw_only=True)
class Foreign:
    """A dataclass of another library: not frozen, and it fills in fields of its own."""

    rate: float = 1e-3
    """A number."""
    kind: str = "plain"
    """Becomes an enumeration."""
    derived: float | None = None
    """Derived when not given."""
    extras: list[str] = dataclasses.field(default_factory=list)
    """A list."""

    def __post_init__(self) -> None:
        self.kind = Kind(self.kind)  # type: ignore[assignment]
        self.derived = self.rate * 2 if self.derived is None else self.derived


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """A configuration of every kind of field."""

    name: str
    """A name."""
    section: Section
    """A section."""
    members: Mapping[str, Member]
    """A mapping of sections."""
    foreign: Foreign
    """A section of another library."""
    optional: Section | None = None
    """A section that may be absent."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Anything."""
    presets: Mapping[str, Member] = dataclasses.field(default_factory=lambda: {"low": Member(weight=0.1, label="l")})
    """Sections that are there unless others are given."""


FILE = """
name: first
section: {count: 1}
members:
  one: {weight: 0.5}
"""

Read = Callable[..., Parsed[Whole]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Returns a function that parses a file of the given text and further flags."""

    def parse_text(text: str, *flags: str) -> Parsed[Whole]:
        file = tmp_path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        return parse(Whole, ["--config", str(file), *flags], description="", switches={"resume": "go on"})

    return parse_text


def refusal(call: Callable[[], object]) -> str:
    """The one line that a configuration is refused with."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    message = str(caught.value)
    assert message and "\n" not in message and len(message) < 400
    return message


def test_a_file_fills_the_dataclasses(read: Read) -> None:
    config = read(FILE).config
    assert config.name == "first" and config.section == Section(count=1) and config.optional is None
    assert config.members == {"one": Member(weight=0.5)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.name = "second"  # type: ignore[misc]


def test_flags_override_the_file_whichever_comes_first(read: Read, tmp_path: Path) -> None:
    config = read(FILE, "--name", "second", "--section.count=7", "--members.one.weight", "2").config
    assert (config.name, config.section.count, config.members["one"].weight) == ("second", 7, 2.0)
    (tmp_path / "more.yaml").write_text("name: third\n")
    assert read(FILE, "--config", str(tmp_path / "more.yaml"), "--name", "fourth").config.name == "fourth"


def test_flags_reach_into_absent_and_new_sections(read: Read) -> None:
    config = read(FILE, "--optional.count", "4", "--members.two.weight", "1", "--options.depth", "5").config
    assert config.optional == Section(count=4)
    assert config.members == {"one": Member(weight=0.5), "two": Member(weight=1.0)}
    assert config.options == {"depth": 5}
    assert read(FILE + "optional: {count: 4}\n", "--optional", "null").config.optional is None


def test_flags_change_options_of_options_and_keep_what_lies_beside_them(read: Read) -> None:
    file = FILE + "options: {executor: {facts: [a], workers: 2}, depth: 1}\n"
    changed = read(file, "--options.executor.workers", "3", "--options.executor.limits.seconds=1e1").config.options
    assert changed == {"executor": {"facts": ["a"], "workers": 3, "limits": {"seconds": 10.0}}, "depth": 1}
    assert read(FILE, "--options.executor.names", "[x, y]").config.options == {"executor": {"names": ["x", "y"]}}
    assert read(file, "--options.depth.deeper", "true").config.options["depth"] == {"deeper": True}
    resolved = yaml.safe_load(read(file, "--options.executor.workers", "3").resolved)
    assert resolved["options"]["executor"]["workers"] == 3


def test_a_default_section_of_a_mapping_can_be_kept_changed_in_part_or_replaced(read: Read) -> None:
    low = Member(weight=0.1, label="l")
    assert read(FILE).config.presets == {"low": low}
    assert read(FILE + "presets: {low: {}}\n").config.presets == {"low": low}
    assert read(FILE + "presets: {low: {weight: 2}}\n").config.presets == {"low": Member(weight=2.0, label="l")}
    assert read(FILE, "--presets.low.weight", "2").config.presets == {"low": Member(weight=2.0, label="l")}
    assert read(FILE + "presets: {high: {weight: 2}}\n").config.presets == {"high": Member(weight=2.0)}
    added = read(FILE, "--presets.high.weight", "2").config.presets
    assert added == {"low": low, "high": Member(weight=2.0)}


def test_a_switch_is_no_key_of_the_configuration(read: Read) -> None:
    parsed = read(FILE, "--resume")
    assert parsed.flags.resume is True and read(FILE).flags.resume is False
    assert "resume" not in yaml.safe_load(parsed.resolved)


@pytest.mark.parametrize(
    ("text", "flags", "names"),
    [
        (FILE + "nme: x\n", [], ["'nme'", "did you mean 'name'?"]),
        (FILE.replace("count", "coutn"), [], ["'coutn' in 'section'", "'count'?"]),
        (FILE.replace("weight", "wieght"), [], ["'wieght' in 'members.one'", "'weight'?"]),
        (FILE + "optional: {cuont: 1}\n", [], ["'cuont' in 'optional'", "'count'?"]),
        (FILE + "5: x\n", [], ["'5'"]),
        (FILE, ["--nme", "x"], ["'nme'", "did you mean 'name'?"]),
        (FILE, ["--nme=x"], ["'nme'", "did you mean 'name'?"]),
        (FILE, ["--nam", "x"], ["'nam'", "did you mean 'name'?"]),
        (FILE, ["--resum"], ["'resum'", "did you mean 'resume'?"]),
        (FILE, ["--confg", "x"], ["'confg'", "did you mean 'config'?"]),
        (FILE, ["--section.coutn", "1"], ["'coutn' in 'section'", "'count'?"]),
        (FILE, ["--section", "{coutn: 1}"], ["'coutn' in 'section'", "'count'?"]),
        (FILE, ["--members.one.wieght", "1"], ["'wieght' in 'members.one'", "'weight'?"]),
        (FILE, ["--members", "{two: {wieght: 1}}"], ["'wieght' in 'members.two'", "'weight'?"]),
        (FILE, ["--optional.cuont=1"], ["'cuont' in 'optional'", "'count'?"]),
        (FILE, ["--foreign.rat-e", "1"], ["'rat-e' in 'foreign'", "'rate'?"]),
        (FILE, ["stray"], ["stray"]),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(read: Read, text: str, flags: list[str], names: list[str]) -> None:
    message = refusal(lambda: read(text, *flags))
    assert all(name in message for name in names), message


@pytest.mark.parametrize(
    ("text", "flags", "names"),
    [
        (FILE, ["--section.count", "x"], ["'section.count' is 'x'", "an integer"]),
        (FILE, ["--section.limit", "1.5"], ["'section.limit' is '1.5'", "an integer or null"]),
        (FILE, ["--section.mode", "slow"], ["'section.mode' is 'slow'", "'fast' or 'exact'"]),
        (FILE, ["--members.one.weight", "much"], ["members", "'weight' is 'much'", "a number"]),
        (FILE, ["--foreign.rate", "fast"], ["'foreign.rate' is 'fast'", "a number"]),
        (FILE, ["--section", "5"], ["'section' is '5'", "a section of keys"]),
        (FILE, ["--name"], ["--name"]),
        (FILE + "optional: 5\n", [], ["'optional' is '5'", "a section of keys"]),
        (FILE.replace("{weight: 0.5}", "null"), [], ["'members.one' is 'None'", "a section of keys"]),
        (FILE.replace("one", "no"), [], ["False", "'members'", "text"]),
        (FILE.replace("one", "o.ne"), [], ["'o.ne'", "'members'", "dot"]),
        (FILE + "options: 5\n", [], ["'options' is '5'", "a section of keys"]),
        (FILE.replace("first", "[a]"), [], ["'name' is", "text"]),
        (FILE.replace("count: 1", "count: -1"), [], ["count must not be negative, got -1"]),
        (FILE.replace("name: first", ""), [], ["lacks 'name'", "--name"]),
        (FILE.replace("weight: 0.5", "label: x"), [], ["weight"]),
    ],
)
def test_a_wrong_value_names_the_key_what_came_and_what_was_expected(
    read: Read, text: str, flags: list[str], names: list[str]
) -> None:
    message = refusal(lambda: read(text, *flags))
    assert all(name in message for name in names), message


@pytest.mark.parametrize("options", ["{a: SPEC}", "{a: [SPEC]}", "{a: {b: SPEC}}"])
def test_no_option_makes_python_import_what_it_names(read: Read, options: str) -> None:
    text = options.replace("SPEC", "{class_path: subprocess.Popen, init_args: {args: 'true'}}")
    assert "class_path" in refusal(lambda: read(f"{FILE}options: {text}\n"))
    assert "class_path" in refusal(lambda: read(FILE, "--options", text))
    assert "class_path" in refusal(lambda: read(FILE, "--options.a.class_path", "subprocess.Popen"))


def test_a_very_long_wrong_value_is_cut(read: Read) -> None:
    assert "..." in refusal(lambda: read(FILE, "--section.count", "x" * 100_000))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, read: Read) -> None:
    missing = str(tmp_path / "missing.yaml")
    assert f"'{missing}'" in refusal(lambda: parse(Whole, ["--config", missing], description=""))
    assert f"'{missing}'" in refusal(lambda: parse(Whole, [f"--config={missing}"], description=""))
    assert f"'{tmp_path}'" in refusal(lambda: parse(Whole, ["--config", str(tmp_path)], description=""))
    assert "not YAML" in refusal(lambda: read("a: ["))
    assert "no mapping" in refusal(lambda: read("- a\n"))
    assert "no mapping" in refusal(lambda: read(""))
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\xfe")
    assert "not YAML" in refusal(lambda: parse(Whole, ["--config", str(tmp_path / "bytes.yaml")], description=""))


def test_a_section_can_come_from_a_file_of_its_own(read: Read, tmp_path: Path) -> None:
    (tmp_path / "section.yaml").write_text("count: 9\n")
    assert read(FILE, "--section", str(tmp_path / "section.yaml")).config.section.count == 9
    (tmp_path / "section.yaml").write_text("cuont: 9\n")
    assert "'count'?" in refusal(lambda: read(FILE, "--section", str(tmp_path / "section.yaml")))


@pytest.mark.parametrize("written", ["1e-5", "1E-5", "1.0e-5", "0.00001"])
def test_a_number_with_an_exponent_and_no_dot_is_a_number(read: Read, written: str) -> None:
    assert read(FILE.replace("0.5", written)).config.members["one"].weight == 1e-5
    assert read(FILE, "--members.one.weight", written).config.members["one"].weight == 1e-5
    assert read(FILE + f"options: {{rate: {written}}}\n").config.options == {"rate": 1e-5}
    assert read(FILE, "--options.rate", written).config.options == {"rate": 1e-5}


def test_the_resolved_text_leaves_out_what_a_foreign_section_derived(read: Read) -> None:
    parsed = read(FILE + "foreign: {rate: 1e-5}\n")
    assert parsed.config.foreign.derived == 2e-5
    assert yaml.safe_load(parsed.resolved)["foreign"] == {"rate": 1e-5}
    assert yaml.safe_load(parsed.resolved)["optional"] is None


@pytest.mark.parametrize("name", ["1e5", "1E-5", "12e3", "007", "null", "yes", "2024-01-01"])
def test_a_name_that_looks_like_something_else_stays_text_in_the_resolved_text(read: Read, name: str) -> None:
    first = read(FILE, "--name", name)
    assert first.config.name == read(first.resolved).config.name == name


words = st.text(max_size=12) | st.sampled_from(
    ["1e5", "null", "yes", "0x1f", "1_0", "2024-01-01", "~", "a: b", "'", "#", "\x85", "a\u2028b", "\ufeff"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # to explain a failure would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=words,
    labels=st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,5}", fullmatch=True), words | st.none(), max_size=3),
    weight=st.floats(allow_nan=False),
    names=st.lists(words, max_size=3),
    options=st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), values, max_size=3),
)
def test_the_resolved_text_gives_the_same_configuration_again(
    read: Read,
    name: str,
    labels: dict[str, str | None],
    weight: float,
    names: list[str],
    options: dict[str, Any],
) -> None:
    given_values = {
        "name": name,
        "section": {"names": names, "limit": 5, "mode": "exact"},
        "members": {key: {"weight": weight, "label": label} for key, label in labels.items()},
        "foreign": {"rate": 1e-9, "extras": names},
        "options": options,
    }
    first = read(yaml_of(given_values))
    again = read(first.resolved)
    assert first.config.name == name and list(first.config.section.names) == names
    assert again.config == first.config
    assert again.resolved == first.resolved


def yaml_of(value: dict[str, Any]) -> str:
    """``value`` as YAML in which all text is quoted: a plain 1e5 is a number to one reader and text to another."""
    return yaml.safe_dump(value, default_style='"')


SUITES = sorted((ROOT / "configs" / "eval").glob("*.yaml"))


def suite_command(file: Path, directory: Path) -> list[str]:
    """The arguments of the command that the suite's own comment gives, with ``directory`` for every folder in it."""
    lines = [line[4:].removesuffix("\\") for line in file.read_text().splitlines() if line.startswith("#   ")]
    _, script, *arguments = shlex.split(" ".join(lines))
    assert script == "eval/run.py"
    return [re.sub(r"\b[A-Z_]{5,}\b", str(directory), argument) for argument in arguments]


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_an_evaluation_resolves_to_itself_and_its_command_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    from data.registry import make_reader
    from envs.registry import make_environment
    from eval.run_config import EvalConfig

    monkeypatch.chdir(ROOT)
    first = parse(EvalConfig, [*suite_command(file, tmp_path), "--heldout.tasks", "5"], description="")
    (tmp_path / "resolved.yaml").write_text(first.resolved)
    again = parse(EvalConfig, ["--config", str(tmp_path / "resolved.yaml")], description="")
    assert again.config == first.config and again.resolved == first.resolved
    environment = make_environment(first.config.environment)
    first.config.heldout.require(environment)
    make_reader(first.config.data, environment)


def test_every_suite_of_public_data_says_where_the_data_comes_from() -> None:
    for file in SUITES:
        text = file.read_text()
        comment = " ".join(line for line in text.splitlines() if line[:1] == "#")
        is_told = "https://" in comment or "path: hub://" in text or file.stem in ("reex_sql", "quickstart")
        assert is_told or "reader: bundled_" in text, file


@pytest.mark.slow
def test_every_shipped_run_resolves_to_itself_without_a_warning(tmp_path: Path) -> None:
    # A process of its own: what a user sees on the terminal is part of what is tested.
    probe = """
import sys
from pathlib import Path
from train.grpo import SWITCHES, RunConfig, parse
for file in sys.argv[2:]:
    # bf16 needs a device that has it, which this machine may lack.
    flags = ["--trainer.learning_rate", "1e-5", "--trainer.bf16", "false"]
    first = parse(RunConfig, ["--config", file, *flags], description="", switches=SWITCHES)
    assert first.config.trainer.learning_rate == 1e-5
    assert "run_name" not in first.resolved  # derived by TRL, set by nobody
    resolved = Path(sys.argv[1])
    resolved.write_text(first.resolved, encoding="utf-8")
    again = parse(RunConfig, ["--config", str(resolved)], description="", switches=SWITCHES)
    assert again.config == first.config and again.resolved == first.resolved, file
print("done")
"""
    files = [str(file) for file in sorted((ROOT / "configs").glob("*.yaml"))]
    assert any(file.endswith("quickstart.yaml") for file in files)
    command = [sys.executable, "-c", probe, str(tmp_path / "resolved.yaml"), *files]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr
    assert result.stderr == ""
