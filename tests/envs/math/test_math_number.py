"""Plain numbers are read exactly; nothing else is a plain number."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.math.number import is_equal, plain_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", "18"),
        ("+18", "18"),
        ("- 5", "-5"),
        ("−5", "-5"),
        ("-1,234.50", "-1234.5"),
        ("1,234,567", "1234567"),
        (r"10{,}000", "10000"),
        (r"10\,000", "10000"),
        (r"10\!000", "10000"),
        ("-.5", "-1/2"),
        ("5.", "5"),
        ("3/4", "3/4"),
        ("6/8", "3/4"),
        (r"\frac{3}{4}", "3/4"),
        (r"-\dfrac34", "-3/4"),
        (r"\frac{-3}{4}", "-3/4"),
        (r"1\frac{1}{2}", "3/2"),
        ("-1 1/2", "-3/2"),
        (r"0.\overline{3}", "1/3"),
        (r"0.1\overline{6}", "1/6"),
        (r"5\times 10^{3}", "5000"),
        ("1.5e-3", "3/2000"),
        ("x = 18", "18"),
        (r"$18$", "18"),
        (r"\$18.50", "37/2"),
        (r"18\text{ dollars}", "18"),
        ("18 dollars", "18"),
        (r"12\text{ cm}^2", "12"),
        (r"60 \text{ miles per hour}", "60"),
        (r"90^\circ", "90"),
        (r"\text{18}", "18"),
        (r"\mathbf{18}", "18"),
        ("**18**", "18"),
        ("１８", "18"),
        ("1\u200b8", "18"),
        ("\ufeff18", "18"),
        ("–18", "-18"),
        ("€18", "18"),
        ("18 square feet", "18"),
        ("18 cm^2", "18"),
        (r"20^\circ\text{C}", "20"),
        (r"\text{Area} = 12", "12"),
        ("f(x) = 12", "12"),
        (r"\angle ABC = 60^\circ", "60"),
    ],
)
def test_a_number_is_read_exactly(text: str, value: str) -> None:
    number = plain_number(text)
    assert number is not None
    assert number.value == Fraction(value)
    assert not number.is_percent


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "|", "--5", "1/0", "1/2/3", "12 34", "12,34", "1,2", "(1,2)", "3=5", "x=3=5", "3 - 1", "2+3", "5!"]
    + [r"\sqrt{25}", "2^3", "9^{9^{9^9}}", "5i", "5x", r"5\pi", r"\frac{1}{2}x", "4343_6", "½", "²", "٣", "0x10"]
    + [
        "5 (or 6)",
        r"\{5, 6\}",
        "5-6",
        "5–6",
        r"\pm 5",
        r"\approx 5",
        r"5 \neq 6",
        "5 < 6",
        "5..6",
        "5 5",
        "[5]",
        "5; 6",
    ]
    + ["5 dozen", r"5\text{ dozen}", "5 Million", "5 bn", r"5\text{k}", "5 thousand", "5 hundredths", "5 squared"]
    + ["5 factorial", "5 point five", "five", "5 minus 2", "\u202e5", "5\x00", "٥", "𝟓", "①", "5\u0336", "5 / 0"]
    + [
        r"\text{5 or 6}",
        r"5\text{ or }6",
        r"5\,\text{or}\,6",
        "5 and 6",
        "5, 6",
        "5,6",
        r"\frac{5}{1}{6}",
        "5%6",
        "5_6",
    ]
    + ["5 or more", r"5 \text{ or maybe } 6", "5 million", r"5\text{ thousand}", "18 dollars and fifty cents"]
    + [
        r"18\text{ and a half}",
        "1e100",
        "1" * 61,
        "1" * 20_000,
        "{" * 150,
        "five",
        r"\frac{1}{}",
        "3 4/",
        "NaN",
        "inf",
    ],
)
def test_anything_else_is_no_plain_number(text: str) -> None:
    assert plain_number(text) is None


UNITS = ["kg", "ft", "lb", "km", "m/s", "km/h", "mL", "oz", "in^2", "cm^3", "hr", "Hz"]


@pytest.mark.parametrize("unit", [*UNITS, "m", "g", "s", "h", "L", "m^2"])
def test_a_short_unit_is_dressing_in_an_answer(unit: str) -> None:
    for text in (f"18 {unit}", rf"18\,{unit}", rf"\frac{{36}}{{2}} {unit}"):
        number = plain_number(text, short_units=True)
        assert number is not None and number.value == 18


@pytest.mark.parametrize("text", ["5m", "5 m", "5h", "2lb", "2ft", "6xyz", "5abc", "5 x", "5 k", "5mg"])
def test_letters_behind_a_number_are_algebra_in_a_gold(text: str) -> None:
    assert plain_number(text) is None


@pytest.mark.parametrize("text", ["5m", "5x", "5 x", "5xyz", "5 k", "5 M", "5 B", "m", "5 m m", "5 m/x"])
def test_other_letters_are_no_unit(text: str) -> None:
    assert plain_number(text, short_units=True) is None


@pytest.mark.parametrize(
    "word",
    ["zero", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "below", "below zero"]
    + ["negative", "gross", "score", "scores", "basis points", "bps"],
)
def test_words_that_change_a_value_are_no_unit(word: str) -> None:
    for text in (f"5 {word}", rf"5\text{{ {word}}}", f"5 {word.capitalize()}"):
        assert plain_number(text) is None and plain_number(text, short_units=True) is None


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("5.0", "5", True),
        ("5.0000001", "5", False),
        ("13535", "13536", False),
        ("0.5", "1/2", True),
        ("0.333333", "1/3", True),
        ("0.3333", "1/3", False),
        ("0.333334", "1/3", False),
        ("0.666667", "2/3", True),
        ("1/3", "0.333333", False),
        (r"50\%", "50", False),
        ("50", r"50\%", False),
        ("50 percent", r"50\%", True),
        (r"500\%", "5", False),
    ],
)
def test_numbers_are_compared_exactly_and_percent_signs_count(answer: str, gold: str, expected: bool) -> None:
    found, wanted = plain_number(answer), plain_number(gold)
    assert found is not None and wanted is not None
    assert is_equal(found, wanted) is expected


@given(st.fractions(max_denominator=10**6))
def test_every_fraction_is_read_back(value: Fraction) -> None:
    number = plain_number(f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}")
    assert number is not None and number.value == value


@given(st.integers(-(10**15), 10**15), st.integers(0, 99))
def test_every_decimal_is_read_back_with_and_without_separators(whole: int, cents: int) -> None:
    for text in (f"{whole}.{cents:02}", f"{whole:,}.{cents:02}"):
        number = plain_number(text)
        assert number is not None
        assert number.value == Fraction(f"{whole}.{cents:02}") and number.places == 2


@given(st.text(max_size=40) | st.text("0123456789.,-+/\\{}frac^%e= ", max_size=40))
def test_no_text_raises(text: str) -> None:
    plain_number(text)
