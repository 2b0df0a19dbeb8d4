r"""Functions as they are typed, ``sin(pi/6)``, in LaTeX; and what the parser would take for another function, refused.

Not covered: functions without brackets around their argument, other than LaTeX's own before one number (``\ln 2``).
"""

import re

from envs.math.brackets import UnreadableError, closing_bracket

_TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan")
COMMANDS = {name: rf"\{name}" for name in (*_TRIGONOMETRIC, "exp", "ln")} | {
    "asin": r"\arcsin",
    "acos": r"\arccos",
    "atan": r"\arctan",
    "log2": r"\log_{2}",
    "log_2": r"\log_{2}",
    "log10": r"\log_{10}",
    "log_10": r"\log_{10}",
}
AROUND = {
    "abs": ("|", "|"),
    "floor": (r"\lfloor ", r" \rfloor "),
    "ceil": (r"\lceil ", r" \rceil "),
    "sqrt": (r"\sqrt{", "}"),
}
"""What stands before and behind the argument."""
KNOWN = "numbers, pi, e, + - * / ^ !, sqrt, abs, floor, ceil, min, max, gcd, lcm, exp, ln, log2, log10, sin, cos, tan"
CALL = re.compile(
    rf"(?<![A-Za-z\\_])({'|'.join(sorted(map(re.escape, {*COMMANDS, *AROUND, 'log'}), key=len, reverse=True))}) ?(?=\()"
)
QUOTED = re.compile(r"\\(?:text|mathrm|operatorname|begin|end) ?\{[^{}]*\}|\\[A-Za-z]+")
WORD = re.compile(r"[A-Za-z]{2,}")
FUNCTION_LETTER = re.compile(r"(?<![A-Za-z\\])[fghCFGHP](?= ?\()")
DIFFERENTIAL = re.compile(r"d[a-z]")
# The parser takes all of a product for the argument: \ln 2*3 for ln 6.
OPEN_ARGUMENT = re.compile(
    rf"\\(?:{'|'.join(_TRIGONOMETRIC)}|exp|ln|lg|log(?: ?_(?:\{{[^{{}}]*\}}|\w+))?) ?(?:\d+(?:\.\d+)?|\.\d+|\\pi) ?"
    r"(?:[*/!^(:]|\\(?:cdot|times|div|frac|pi|sqrt))"
)
DEGREES = re.compile(r"\\circ(?![A-Za-z])|°|\\degree")
LOG = "log has no base here; write ln(...), log2(...) or log10(...)"


def with_functions(text: str) -> str:
    """The text with its typed functions as LaTeX, in brackets of their own where the parser needs them.

    Raises:
        UnreadableError: a function has no base, is in degrees, holds another in a way that cannot be read, or its
            argument ends nowhere.
    """
    if DEGREES.search(text):
        raise UnreadableError("degrees cannot be read; multiply them by pi/180")
    while (call := CALL.search(text)) is not None:
        name, end = call[1], closing_bracket(text, call.end())
        inner = text[call.end() + 1 : end - 1]
        if name == "log":
            raise UnreadableError(LOG)
        if name == "abs" and ("|" in inner or "abs" in inner):
            raise UnreadableError("an absolute value inside of another cannot be read; compute it first")
        if name in AROUND:
            before, behind = AROUND[name]
            called = f"{before}{inner}{behind}"
            called = called if name == "sqrt" else f"({called})"
        else:
            called = f"({COMMANDS[name]}({inner}))"
        text = f"{text[: call.start()]}{called}{text[end:]}"
    if (open_argument := OPEN_ARGUMENT.search(text)) is not None:
        raise UnreadableError(f"it is not clear where the argument of {open_argument[0][:20]} ends; put it in brackets")
    return text


def require_known_words(text: str) -> None:
    """Checks LaTeX for words that are no commands, which the parser would take for products of letters.

    Raises:
        UnreadableError: there is one; it is named.
    """
    bare = QUOTED.sub(" ", text)
    for word in (*WORD.findall(bare), *FUNCTION_LETTER.findall(bare)):
        if word in COMMANDS or word in AROUND or word == "log":
            raise UnreadableError(f"{word} needs brackets around what it is taken of")
        if not DIFFERENTIAL.fullmatch(word):
            raise UnreadableError(f"'{word[:40]}' is not known; it can have {KNOWN}")
