"""What is known of the JSON (or XML, or YAML) of one answer. No number is a reward yet: see ``rewards.json``."""

from dataclasses import dataclass

from envs.json.schema import Listing, SchemaError
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class JsonVerdict(Verdict):
    """What is known of an answer that should be one value under a schema.

    ``is_correct``: laid out as the tags ask, nothing but one value, valid under the schema, and right by the gold if
    there is one. ``error`` is the first that applies of: ``no answer``; ``wrong layout`` (``layout.defect`` says what);
    another category of ``envs.json.parsing.ParseError``, ``extra text`` last; ``not valid``, or ``pattern limit`` where
    no other error of the schema was found but that one of its regular expressions gave up; and by the gold ``wrong
    value``, or what mathematics says (``envs.math.verification.AnswerError``). ``unjudged`` is ``defective schema``,
    ``defective gold``, or, where nothing else is wrong, a reason of ``envs.math.verification``.

    The facts are those of the value that was found, whatever stands around it: an answer with extra text can be valid
    and equal to the gold, but not correct. Where no value was found all flags are false and all shares 0, progress
    aside.
    """

    is_parsed: bool = False
    """A value was found, alone or beside other text."""
    has_extra_text: bool = False
    """Something other than white space stands beside the value, in the part of the transcript that holds the answer."""
    is_valid: bool = False
    """The value obeys the schema."""
    progress: float = 0.0
    """How far the answer got before it went wrong: the share of its lexical tokens, its end counted as one, that come
    before the first at which no continuation could be valid (``envs.json.progress``). In [0, 1]; 1 exactly when
    ``is_valid``; a longer prefix of a valid answer never has less."""
    listing: Listing = "all"
    """Which errors of the schema were looked for; ``progress``, ``schema_errors``, ``missing`` and ``invented`` know no
    others. All of them; or only the first, or none, where listing them could take too long."""
    structure: float = 0.0
    """Share of the structure at the top level that is met: the keys that are required and those that are there, of
    which a key is met when it is there, allowed and of a type that the schema allows it (``envs.json.structure``;
    ours). 1 when valid; 1 is also the flag: structurally accurate."""
    coverage: float = 0.0
    """Share of the keys that the schema names at the top level which the value has with something in them
    (``envs.json.structure``); 1 where the schema names none."""
    schema_errors: tuple[SchemaError, ...] = ()
    """How the value breaks the schema; at most 32, see ``envs.json.schema.Validation.errors``."""
    is_equal: bool | None = None
    """What the value says is right by the gold (equal to it, verified as mathematics, the right calls), whatever its
    schema and its surroundings say, save that mathematics is only verified in a valid value, and false where that came
    to no end in an answer that is wrong anyway. None without a gold."""
    precision: float | None = None
    """Share of the value's leaves that the gold has at the same place (of calls: as ``envs.json.calls`` says; of
    mathematics: 1 or 0, as verified); 0 without a value, None without a gold."""
    recall: float | None = None
    """Share of the gold's leaves that the value has at the same place; likewise."""
    f1: float | None = None
    """Harmonic mean of the two, see ``envs.json.content``."""
    missing: tuple[str, ...] = ()
    """JSON pointers of the object keys that the gold has and the value lacks, in the gold's order, at most 32; without
    a gold that is a value: keys that the schema requires."""
    missing_count: int = 0
    """How many are missing in all."""
    invented: tuple[str, ...] = ()
    """JSON pointers of the object keys that the value has and the gold lacks, at most 32; without a gold that is a
    value: keys that the schema does not allow."""
    invented_count: int = 0
    """How many are invented in all."""
