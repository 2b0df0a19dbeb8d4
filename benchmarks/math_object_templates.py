r"""Golds that are no single expression: tuples, intervals, sets, matrices, relations, words, numbers in other bases.

``right`` answers say the same in another way, ``wrong`` ones change an element, an order or a bracket; ``form``: of the
right value, but no final answer.
"""

from random import Random

from benchmarks.math_variants import Variants, distinct


def complex_number(chance: Random) -> Variants:
    """A complex number."""
    a, b = distinct(chance, 2)
    right = [f"{b}i+{a}", f"{a} + {b} i", rf"{a} + {b} \cdot i", f"z = {a}+{b}i"]
    return Variants(f"{a}+{b}i", right, [f"{a}-{b}i", f"{b}+{a}i", f"{a}+{b}", f"-{a}+{b}i", f"{a + b}i"], [])


def point(chance: Random) -> Variants:
    """A pair of coordinates."""
    a, b = distinct(chance, 2)
    gold = f"({a}, {b})"
    right = [
        f"({a},{b})",
        rf"\left({a}, {b}\right)",
        f"({a}.0, {b})",
        rf"(\frac{{{2 * a}}}{{2}}, {b})",
        f"{a}, {b}",
        f"(x, y) = ({a}, {b})",
    ]
    wrong = [
        f"({b}, {a})",
        f"[{a}, {b}]",
        f"({a}, {b + 1})",
        f"({a}, {b}, 0)",
        f"{b}, {a}",
        f"(-{a}, {b})",
        f"({a}, {b}]",
        rf"\frac{{{a}}}{{{b}}}",
    ]
    return Variants(gold, right, wrong, [rf"\{{{a}, {b}\}}"])


def triple(chance: Random) -> Variants:
    """Three coordinates, one a fraction."""
    a, b, c = distinct(chance, 3)
    gold = rf"({a}, -{b}, \frac{{1}}{{{c}}})"
    right = [
        rf"\left({a}, -{b}, \frac{{1}}{{{c}}}\right)",
        f"({a},-{b},1/{c})",
        rf"({a}, -{b}, \dfrac{{2}}{{{2 * c}}})",
    ]
    return Variants(
        gold,
        right,
        [rf"(-{b}, {a}, \frac{{1}}{{{c}}})", f"({a}, -{b}, {c})", f"({a}, -{b})", rf"({a}, {b}, \frac{{1}}{{{c}}})"],
        [],
    )


def interval(chance: Random) -> Variants:
    """A half-open interval."""
    a, b = sorted(distinct(chance, 2))
    gold = f"[{a}, {b})"
    right = [f"[{a},{b})", rf"\left[{a}, {b}\right)", rf"[{a}, \frac{{{2 * b}}}{{2}})", f"[{a}.0, {b})"]
    right += [rf"{a} \le x < {b}", rf"{b} > x \ge {a}"]
    return Variants(
        gold,
        right,
        [f"[{a}, {b}]", f"({a}, {b})", f"({a}, {b}]", f"[{a}, {b + 1})", f"[{a - 1}, {b})", f"{a}, {b}", str(a)]
        + [f"{a} < x < {b}", rf"{a} \le x \le {b}", f"x < {b}", rf"{a} \le x < {b + 1}"],
        [],
    )


def half_line(chance: Random) -> Variants:
    """An interval without an end."""
    (a,) = distinct(chance, 1)
    gold = rf"(-\infty, {a}]"
    right = [rf"(-\infty,{a}]", rf"\left(-\infty, {a}\right]", f"(-∞, {a}]", rf"x \le {a}"]
    return Variants(
        gold,
        right,
        [rf"(-\infty, {a})", rf"[{a}, \infty)", rf"(-\infty, {a + 1}]", rf"(\infty, {a}]", f"x < {a}", rf"x \ge {a}"],
        [],
    )


def union(chance: Random) -> Variants:
    """Two intervals."""
    a, b, c = sorted(distinct(chance, 3))
    gold = rf"({a}, {b}) \cup [{c}, \infty)"
    right = [rf"[{c}, \infty) \cup ({a}, {b})", rf"\left({a},{b}\right)\cup\left[{c},\infty\right)"]
    return Variants(
        gold,
        right,
        [
            rf"({a}, {b}] \cup [{c}, \infty)",
            rf"({a}, {b}) \cup ({c}, \infty)",
            f"({a}, {b})",
            rf"({a}, {b}) \cup [{c + 1}, \infty)",
        ],
        [],
    )


def finite_set(chance: Random) -> Variants:
    """Three numbers in any order."""
    a, b, c = distinct(chance, 3)
    gold = rf"\{{{a}, {b}, {c}\}}"
    right = [rf"\{{{c}, {a}, {b}\}}", rf"\left\{{{a}, {b}, {c}\right\}}", f"{b}, {a}, {c}", rf"\{{{a}.0, {b}, {c}\}}"]
    return Variants(
        gold,
        right,
        [rf"\{{{a}, {b}\}}", rf"\{{{a}, {b}, {c}, {a + 20}\}}", rf"\{{{a}, {b}, {c + 20}\}}", str(a), f"[{a}, {c}]"],
        [f"({a}, {b}, {c})"],
    )


def solutions(chance: Random) -> Variants:
    """The solutions of an equation, without braces."""
    a, b = distinct(chance, 2)
    gold = rf"{a}, \sqrt{{{b * b + 1}}}"
    right = [
        rf"\sqrt{{{b * b + 1}}}, {a}",
        rf"{a} \text{{ and }} \sqrt{{{b * b + 1}}}",
        rf"\{{{a}, \sqrt{{{b * b + 1}}}\}}",
    ]
    return Variants(
        gold,
        right,
        [str(a), rf"{a}, \sqrt{{{b * b + 1}}}, {b}", rf"{a}, \sqrt{{{b * b + 2}}}", rf"{a + 1}, \sqrt{{{b * b + 1}}}"],
        [],
    )


def matrix(chance: Random) -> Variants:
    """Two rows and two columns."""
    a, b, c, d = distinct(chance, 4)
    gold = rf"\begin{{pmatrix}} {a} & {b} \\ {c} & {d} \end{{pmatrix}}"
    right = [
        rf"\begin{{bmatrix}}{a}&{b}\\{c}&{d}\end{{bmatrix}}",
        rf"\begin{{pmatrix}} {a} & \frac{{{2 * b}}}{{2}} \\ {c} & {d} \end{{pmatrix}}",
    ]
    wrong = [
        rf"\begin{{pmatrix}} {a} & {c} \\ {b} & {d} \end{{pmatrix}}",
        rf"\begin{{pmatrix}} {a} & {b} \\ {c} & {d + 1} \end{{pmatrix}}",
        rf"\begin{{pmatrix}} {a} \\ {b} \end{{pmatrix}}",
        f"({a}, {b}, {c}, {d})",
    ]
    return Variants(gold, right, wrong, [])


def line(chance: Random) -> Variants:
    """The equation of a line."""
    a, b = distinct(chance, 2)
    gold = f"y = {a}x + {b}"
    right = [
        f"y={b}+{a}x",
        f"{a}x+{b}",
        f"y = {a} x + {b}",
        f"{a}x - y + {b} = 0",
        f"f(x) = {a}x+{b}",
        f"y - {b} = {a}x",
    ]
    return Variants(
        gold,
        right,
        [f"y = {a}x - {b}", f"y = {b}x + {a}", f"x = {a}y + {b}", f"y = -{a}x + {b}", f"{a}x + {b} = 0", f"y = {a}"],
        [f"y = {a}x + {b} = 0"],
    )


def implicit_line(chance: Random) -> Variants:
    """The equation of a line that gives no name to its value."""
    a, b = distinct(chance, 2)
    gold = f"{a}x + y = {b}"
    return Variants(
        gold,
        [f"y = {b} - {a}x", f"y = -{a}x + {b}", f"{a}x + y - {b} = 0", f"{2 * a}x + 2y = {2 * b}", f"y+{a}x={b}"],
        [f"y = {b} + {a}x", f"{b} - {a}x", f"x = {b} - {a}y", f"{a}x - y = {b}", f"y = {b}", str(b)],
        [],
    )


def hyperbola(chance: Random) -> Variants:
    """A product of two letters that equals a number."""
    (a,) = distinct(chance, 1)
    return Variants(
        f"xy = {a}",
        [f"yx = {a}", rf"x \cdot y = {a}", rf"y = \frac{{{a}}}{{x}}", f"xy - {a} = 0"],
        [str(a), f"xy = {a + 1}", f"x = {a}", f"x + y = {a}", f"y = {a}x"],
        [],
    )


def inequality(chance: Random) -> Variants:
    """A strict inequality."""
    (a,) = distinct(chance, 1)
    right = [f"{a} < x", f"x>{a}", rf"({a}, \infty)", rf"x \gt {a}"]
    return Variants(
        f"x > {a}",
        right,
        [rf"x \ge {a}", f"x < {a}", f"{a} > x", f"x > {a + 1}", rf"[{a}, \infty)", str(a), f"x = {a}"],
        [],
    )


def double_inequality(chance: Random) -> Variants:
    """A number between two others."""
    a, b = sorted(distinct(chance, 2))
    gold = rf"{a} < x \le {b}"
    return Variants(
        gold,
        [rf"{a}<x\leq {b}", f"({a}, {b}]", f"{a} < x ≤ {b}"],
        [f"{a} < x < {b}", rf"{a} \le x \le {b}", rf"{a} < x \le {b + 1}", f"[{a}, {b}]", f"x > {a}"],
        [],
    )


def word(chance: Random) -> Variants:
    """A word."""
    gold, other = chance.sample(
        ["even", "odd", "Monday", "Friday", "increasing", "decreasing", "Yes", "No", "Alice", "north"], 2
    )
    right = [gold, rf"\text{{{gold}}}", rf"\textbf{{{gold}}}", gold.lower(), f"{gold}."]
    return Variants(
        rf"\text{{{gold}}}",
        right,
        [other, rf"\text{{{gold} or {other}}}", rf"\text{{not {gold}}}", f"{gold}, {other}", rf"\text{{{other}}}"],
        [],
    )


def choice(chance: Random) -> Variants:
    """A choice from five."""
    gold, other = chance.sample("ABCDE", 2)
    right = [gold, f"({gold})", rf"\text{{({gold})}}", rf"\text{{{gold}}}", rf"\textbf{{({gold})}}"]
    return Variants(
        rf"\text{{({gold})}}",
        right,
        [other, f"({other})", f"{gold}, {other}", rf"\text{{({gold}) or ({other})}}", f"{gold}{other}"],
        [],
    )


def number_base(chance: Random) -> Variants:
    """Four digits in another base."""
    base = chance.randint(5, 9)
    digits = "".join(str(chance.randint(1, base - 2)) for _ in range(4))
    gold = f"{digits}_{{{base}}}"
    return Variants(
        gold,
        [f"{digits}_{base}", rf"{digits}_{{\text{{{base}}}}}"],
        [f"{digits}_{{{base - 1}}}", f"{int(digits) + 1}_{{{base}}}", f"{digits[::-1]}1_{{{base}}}"],
        [],
    )
