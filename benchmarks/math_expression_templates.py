r"""Golds that are expressions, with random coefficients: polynomials, roots, logarithms, trigonometry, powers.

``right`` answers come of identities, ``wrong`` ones of a changed coefficient, sign or exponent; ``form``: of the right
value, but no final answer.
"""

from random import Random

from benchmarks.math_variants import Variants, distinct, term


def expanded_product(chance: Random) -> Variants:
    """A quadratic, and its factors."""
    p, q = distinct(chance, 2)
    gold = f"x^2{term(p + q, 'x')}{term(p * q)}"
    right = [
        f"(x+{p})(x+{q})",
        f"(x+{q})(x+{p})",
        f"{p * q}+{p + q}x+x^2",
        f"x^{{2}} + {p + q} x + {p * q}",
        f"f(x) = {gold}",
    ]
    wrong = [
        f"(x+{p})(x-{q})",
        f"x^2+{p + q}x+{p * q + 1}",
        f"x^2-{p + q}x+{p * q}",
        f"{p + q}x+{p * q}",
        f"x^3+{p + q}x+{p * q}",
    ]
    return Variants(gold, right, wrong, [f"x^2+{p + q}x+{p * q}=0", f"(x+{p})(x+{q})={gold}"])


def factored_product(chance: Random) -> Variants:
    """Three factors, and their product."""
    a, p, q = distinct(chance, 3)
    gold = f"{a}(x-{p})(x+{q})"
    right = [
        f"{a}x^2{term(a * (q - p), 'x')}{term(-a * p * q)}",
        f"({a}x-{a * p})(x+{q})",
        f"{a}(x+{q})(x-{p})",
        rf"{a} \cdot (x-{p}) \cdot (x+{q})",
    ]
    wrong = [f"{a}(x+{p})(x-{q})", f"(x-{p})(x+{q})", f"{a}(x-{p})(x+{q + 1})", f"{a}(y-{p})(y+{q})"]
    return Variants(gold, right, wrong, [])


def square(chance: Random) -> Variants:
    """The square of a sum."""
    a, b = distinct(chance, 2)
    gold = f"({a}x+{b})^2"
    right = [f"{a * a}x^2+{2 * a * b}x+{b * b}", f"({b}+{a}x)^{{2}}", f"({a}x+{b})({a}x+{b})"]
    return Variants(
        gold, right, [f"{a * a}x^2+{b * b}", f"({a}x-{b})^2", f"{a}x^2+{2 * a * b}x+{b * b}", f"({a}x+{b})^3"], []
    )


def two_variables(chance: Random) -> Variants:
    """A polynomial in two variables."""
    a, b, c = distinct(chance, 3)
    gold = f"{a}xy+{b}x^2-{c}y"
    right = [f"{b}x^2-{c}y+{a}xy", f"{a}yx+{b}x^{{2}}-{c}y", f"x({a}y+{b}x)-{c}y", rf"-{c}y + {a} x y + {b} x^2"]
    return Variants(
        gold, right, [f"{a}xy+{b}y^2-{c}x", f"{a}xy+{b}x^2+{c}y", f"{a}x+{b}x^2-{c}y", f"{a + 1}xy+{b}x^2-{c}y"], []
    )


def monomial(chance: Random) -> Variants:
    """A number times a letter; letters are not interchangeable, nor units."""
    (a,) = distinct(chance, 1)
    name, other = chance.sample("acdhkmnrst", 2)
    return Variants(
        f"{a}{name}",
        [rf"{a} \cdot {name}", rf"{name} \cdot {a}", f"{a} {name}"],
        [f"{a}{other}", f"{a + 1}{name}", str(a), f"{a}{name}^2"],
        [],
    )


def rational_function(chance: Random) -> Variants:
    """A quotient of linear terms."""
    a, b = distinct(chance, 2)
    gold = rf"\frac{{x+{a}}}{{x+{b}}}"
    right = [
        rf"1{'+' if a > b else '-'}\frac{{{abs(a - b)}}}{{x+{b}}}",
        rf"\dfrac{{x+{a}}}{{x+{b}}}",
        rf"\frac{{2x+{2 * a}}}{{2x+{2 * b}}}",
        f"(x+{a})/(x+{b})",
    ]
    return Variants(
        gold, right, [rf"\frac{{x+{b}}}{{x+{a}}}", rf"\frac{{x-{a}}}{{x+{b}}}", rf"\frac{{{a}}}{{{b}}}", f"x+{a}"], []
    )


def surd(chance: Random) -> Variants:
    """A multiple of a square root, hedged in many ways."""
    a, b = chance.randint(2, 12), chance.choice([2, 3, 5, 6, 7, 10, 11, 13])
    gold = rf"{a}\sqrt{{{b}}}"
    right = [
        rf"\sqrt{{{a * a * b}}}",
        rf"\frac{{{a * b}}}{{\sqrt{{{b}}}}}",
        rf"{a} \cdot \sqrt{{{b}}}",
        rf"{a}\sqrt{{{b}}}\text{{ cm}}",
    ]
    right += [rf"d = {a}\sqrt{{{b}}}", rf"{a}√{b}", rf"{a}\sqrt{{{b}}} \approx {a * b**0.5:.3f}"]
    wrong = [
        rf"{a}\sqrt{{{b + 1}}}",
        rf"\sqrt{{{a * b}}}",
        rf"-{a}\sqrt{{{b}}}",
        rf"{a + 1}\sqrt{{{b}}}",
        rf"{a}\sqrt[3]{{{b}}}",
    ]
    wrong += [
        rf"{a}\sqrt{{{b}}}\text{{ million}}",
        rf"\pm {a}\sqrt{{{b}}}",
        rf"{a}\sqrt{{{b}}}, {a}",
        rf"{a}\sqrt{{{b}}} \text{{ or }} {b}",
    ]
    wrong += [rf"\{{{a}\sqrt{{{b}}}, {b}\}}", rf"{a}\sqrt{{{b}}}\%", rf"{a * b}"]
    return Variants(gold, right, wrong, [rf"{b} = {a}\sqrt{{{b}}}", rf"{a}\sqrt{{{b}}} = \sqrt{{{a * a * b}}}"])


def quadratic_root(chance: Random) -> Variants:
    """A root of a quadratic equation."""
    a, c = distinct(chance, 2)
    b = chance.choice([2, 3, 5, 7, 11, 13])
    gold = rf"\frac{{{a}+\sqrt{{{b}}}}}{{{c}}}"
    right = [
        rf"\frac{{{a}}}{{{c}}}+\frac{{\sqrt{{{b}}}}}{{{c}}}",
        rf"\dfrac{{\sqrt{{{b}}}+{a}}}{{{c}}}",
        rf"\frac{{{2 * a}+2\sqrt{{{b}}}}}{{{2 * c}}}",
    ]
    wrong = [
        rf"\frac{{{a}-\sqrt{{{b}}}}}{{{c}}}",
        rf"{a}+\frac{{\sqrt{{{b}}}}}{{{c}}}",
        rf"\frac{{{a} \pm \sqrt{{{b}}}}}{{{c}}}",
        rf"\frac{{{a}+\sqrt{{{b}}}}}{{{c + 1}}}",
    ]
    return Variants(gold, right, wrong, [])


def nested_root(chance: Random) -> Variants:
    """A sum of roots, which is a root of a sum."""
    a, b = chance.sample([2, 3, 5, 7, 11], 2)
    gold = rf"\sqrt{{{a}}}+\sqrt{{{b}}}"
    right = [rf"\sqrt{{{a + b}+2\sqrt{{{a * b}}}}}", rf"\sqrt{{{b}}}+\sqrt{{{a}}}"]
    right.append(rf"\frac{{{a - b}}}{{\sqrt{{{a}}}-\sqrt{{{b}}}}}")
    return Variants(
        gold,
        right,
        [
            rf"\sqrt{{{a + b}}}",
            rf"\sqrt{{{a}}}-\sqrt{{{b}}}",
            rf"\sqrt{{{a + b}+\sqrt{{{a * b}}}}}",
            rf"\sqrt{{{a * b}}}",
        ],
        [],
    )


def multiple_of_pi(chance: Random) -> Variants:
    """A rational multiple of pi."""
    a, b = chance.choice([2, 4, 5, 7, 8, 11]), chance.choice([3, 9, 13, 17])
    gold = rf"\frac{{{a}\pi}}{{{b}}}"
    right = [
        rf"\frac{{{a}}}{{{b}}}\pi",
        rf"{a}\pi/{b}",
        rf"\frac{{{2 * a}\pi}}{{{2 * b}}}",
        rf"\theta = \frac{{{a}\pi}}{{{b}}}",
        f"{a}π/{b}",
        rf"\dfrac{{{a} \pi}}{{{b}}}",
    ]
    wrong = [
        rf"\frac{{{a + 1}\pi}}{{{b}}}",
        rf"\frac{{{a}}}{{{b}}}",
        rf"-\frac{{{a}\pi}}{{{b}}}",
        rf"\frac{{{a}\pi}}{{{b + 1}}}",
        rf"\frac{{{a}\pi^2}}{{{b}}}",
        rf"\frac{{{a}}}{{{b}\pi}}",
    ]
    return Variants(gold, right, wrong, [rf"\int_0^1 \frac{{{a}\pi}}{{{b}}} dx"])


def double_angle(chance: Random) -> Variants:
    """The sine of twice an angle."""
    (a,) = distinct(chance, 1)
    gold = rf"{a}\sin(2x)"
    right = [rf"{2 * a}\sin(x)\cos(x)", rf"{2 * a}\cos x \sin x", rf"{a} \sin 2x"]
    return Variants(gold, right, [rf"{a}\sin(x)\cos(x)", rf"{a}\cos(2x)", rf"{a}\sin(x)", rf"{2 * a}\sin(x)"], [])


def pythagoras(chance: Random) -> Variants:
    """Sine squared, and one less cosine squared."""
    (a,) = distinct(chance, 1)
    gold = rf"{a}\sin^2 x"
    right = [rf"{a}-{a}\cos^2 x", rf"{a}(1-\cos^2 x)", rf"{a} \sin^{{2}} x", rf"\frac{{{a}}}{{2}}(1-\cos(2x))"]
    return Variants(gold, right, [rf"{a}+{a}\cos^2 x", rf"{a}\cos^2 x", rf"{a}\sin x", rf"{a}\sin^2 y"], [])


def logarithm(chance: Random) -> Variants:
    """The logarithm of a product."""
    a, b = distinct(chance, 2)
    gold = rf"\ln({a * b})"
    right = [rf"\ln({a}) + \ln({b})", rf"\ln {a * b}", rf"\frac{{1}}{{2}}\ln({(a * b) ** 2})"]
    return Variants(
        gold,
        right,
        [rf"\ln({a}) \cdot \ln({b})", rf"\ln({a + b + 1000})", rf"\ln({a}) - \ln({b})", rf"-\ln({a * b})"],
        [],
    )


def change_of_base(chance: Random) -> Variants:
    """A logarithm, and a quotient of logarithms."""
    a, b = chance.sample([3, 5, 6, 7, 10, 11, 12], 2)
    gold = rf"\log_{{{a}}}({b})"
    right = [rf"\frac{{\ln({b})}}{{\ln({a})}}", rf"\log_{{{a}}} {b}"]
    return Variants(gold, right, [rf"\frac{{\ln({a})}}{{\ln({b})}}", rf"\log_{{{b}}}({a})", rf"\ln({b})"], [])


def power_law(chance: Random) -> Variants:
    """A power with a sum in its exponent."""
    a, b = chance.randint(2, 7), chance.randint(2, 4)
    gold = f"{a}^{{n+{b}}}"
    right = [rf"{a**b} \cdot {a}^n", rf"{a}^n \cdot {a}^{b}", f"{a}^{{{b}+n}}"]
    return Variants(gold, right, [f"{a}^n+{a}^{b}", f"{a}^{{n-{b}}}", f"{a + 1}^{{n+{b}}}", rf"{a}^{{{b}n+1}}"], [])


def big_product(chance: Random) -> Variants:
    """A product of powers, and the integer of twenty digits that it is."""
    a, b = chance.randint(20, 40), chance.randint(12, 25)
    gold = rf"2^{{{a}}} \cdot 3^{{{b}}}"
    value = 2**a * 3**b
    return Variants(
        gold,
        [str(value), f"{value:,}", rf"3^{{{b}}} \cdot 2^{{{a}}}", rf"4 \cdot 2^{{{a - 2}}} \cdot 3^{{{b}}}"],
        [str(value + 1), str(value - 10), rf"2^{{{a + 1}}} \cdot 3^{{{b}}}", rf"6^{{{a + b}}}"],
        [],
    )


def small_power(chance: Random) -> Variants:
    """A power of one half, too small for fifteen digits to tell from the next."""
    a = chance.randint(60, 120)
    gold = rf"\frac{{1}}{{2^{{{a}}}}}"
    return Variants(
        gold,
        [f"2^{{-{a}}}", rf"\frac{{2}}{{2^{{{a + 1}}}}}", rf"(\frac{{1}}{{2}})^{{{a}}}"],
        [rf"\frac{{1}}{{2^{{{a + 1}}}}}", rf"\frac{{1}}{{2^{{{a - 1}}}}}", "0", rf"\frac{{1}}{{3^{{{a}}}}}"],
        [],
    )


def absolute_value(chance: Random) -> Variants:
    """A distance."""
    (a,) = distinct(chance, 1)
    return Variants(
        f"|x-{a}|",
        [f"|{a}-x|", rf"\left|x-{a}\right|", rf"\sqrt{{(x-{a})^2}}"],
        [f"x-{a}", f"|x+{a}|", f"{a}-x", f"|x|-{a}"],
        [],
    )


def near_power(chance: Random) -> Variants:
    """One less than a power of ten, which many digits agree with."""
    a = 2 * chance.randint(22, 60)
    gold = f"10^{{{a}}}-1"
    right = [f"-1+10^{{{a}}}", f"(10^{{{a // 2}}}-1)(10^{{{a // 2}}}+1)", rf"10 \cdot 10^{{{a - 1}}}-1"]
    return Variants(gold, right, [f"10^{{{a}}}", f"10^{{{a}}}+1", f"10^{{{a}}}-2", f"10^{{{a - 1}}}-1"], [])


def near_one(chance: Random) -> Variants:
    """A probability that is almost certain."""
    a, b = chance.randint(3, 9), chance.randint(300, 900)
    gold = rf"1-(\frac{{1}}{{{a}}})^{{{b}}}"
    right = [rf"1-\frac{{1}}{{{a}^{{{b}}}}}", f"1-{a}^{{-{b}}}", rf"\frac{{{a}^{{{b}}}-1}}{{{a}^{{{b}}}}}"]
    wrong = [
        "1",
        rf"1-(\frac{{1}}{{{a}}})^{{{b + 1}}}",
        rf"1+(\frac{{1}}{{{a}}})^{{{b}}}",
        rf"1-(\frac{{1}}{{{a + 1}}})^{{{b}}}",
    ]
    return Variants(gold, right, wrong, [])


def near_exponential(chance: Random) -> Variants:
    """An irrational number, and one that differs from it by one."""
    a = chance.randint(100, 400)
    gold = f"e^{{{a}}}+1"
    right = [f"1+e^{{{a}}}", rf"e \cdot e^{{{a - 1}}}+1", f"e^{{{a}}} + 1"]
    return Variants(gold, right, [f"e^{{{a}}}", f"e^{{{a}}}+2", f"e^{{{a}}}-1", f"e^{{{a + 1}}}+1"], [])
