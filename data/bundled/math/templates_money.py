"""Word problems about money."""

from fractions import Fraction
from random import Random

from data.bundled.math.template import Drawn, money, template


@template(
    difficulty="easy",
    expression="{note} - {price}",
    phrasings=(
        "{name} pays for a book that costs ${price} with a ${note} note. How many dollars of change does {name} get?",
        "A sandwich costs ${price}. {name} hands over ${note}. How much change, in dollars, is due?",
    ),
)
def change(random: Random) -> Drawn:
    note = random.choice((10, 20, 50))
    due = random.randrange(105, note * 100 - 200, 5)
    return {"note": note, "price": money(note * 100 - due)}, Fraction(due, 100)


@template(
    difficulty="easy",
    expression="{count} * {price}",
    phrasings=(
        "One notebook costs ${price}. What do {count} notebooks cost, in dollars?",
        "{name} buys {count} tickets at ${price} each. How many dollars does {name} pay?",
    ),
)
def total_price(random: Random) -> Drawn:
    count, cents = random.randint(3, 12), random.randrange(125, 900, 25)
    return {"count": count, "price": money(cents)}, Fraction(count * cents, 100)


@template(
    difficulty="easy",
    expression="{total} / {people}",
    phrasings=(
        "{people} friends share a bill of ${total} equally. How many dollars does each pay?",
        "A prize of ${total} is split evenly among {people} winners. How many dollars does each winner get?",
    ),
)
def shared_bill(random: Random) -> Drawn:
    people, share = random.randint(3, 9), random.randrange(450, 3000, 50)
    return {"people": people, "total": money(people * share)}, Fraction(share, 100)


@template(
    difficulty="medium",
    expression="{price} * (100 - {percent}) / 100",
    phrasings=(
        "A jacket costs ${price}. In the sale it is {percent}% cheaper. What is the sale price in dollars?",
        "{name} gets a {percent}% discount on a bicycle priced at ${price}. How many dollars does {name} pay?",
    ),
)
def discount(random: Random) -> Drawn:
    price, percent = random.randrange(40, 400, 20), random.randrange(5, 65, 5)
    return {"price": price, "percent": percent}, price - Fraction(price * percent, 100)


@template(
    difficulty="medium",
    expression="{bill} + {bill} * {percent} / 100",
    phrasings=(
        "A restaurant bill is ${bill}. {name} adds a tip of {percent}%. How many dollars does {name} pay in total?",
        "{name} owes ${bill} for dinner and leaves a {percent}% tip on top. What is the total in dollars?",
    ),
)
def tip(random: Random) -> Drawn:
    bill, percent = random.randrange(20, 180, 4), random.choice((5, 10, 15, 20, 25))
    return {"bill": bill, "percent": percent}, bill * (1 + Fraction(percent, 100))


@template(
    difficulty="medium",
    expression="({price} - {saved}) / {weekly}",
    phrasings=(
        "{name} wants a guitar for ${price}, has saved ${saved} and saves ${weekly} a week. "
        "After how many more weeks can {name} buy it?",
        "A phone costs ${price}. {name} already has ${saved} and puts aside ${weekly} every week. "
        "How many weeks must {name} still save?",
    ),
)
def saving_weeks(random: Random) -> Drawn:
    weeks, weekly, saved = random.randint(4, 20), random.randint(6, 25), random.randint(15, 90)
    return {"price": saved + weeks * weekly, "saved": saved, "weekly": weekly}, weeks


@template(
    difficulty="medium",
    expression="{note} - {count} * {price}",
    phrasings=(
        "{name} buys {count} cups of tea at ${price} each and pays with ${note}. What is the change in dollars?",
        "Stamps cost ${price} each. {name} takes {count} of them and pays with a ${note} note. How much change is due?",
    ),
)
def change_of_several(random: Random) -> Drawn:
    count, cents = random.randint(3, 7), random.randrange(110, 280, 10)
    return {"count": count, "price": money(cents), "note": 20}, Fraction(2000 - count * cents, 100)


@template(
    difficulty="medium",
    expression="{capital} * {rate} * {years} / 100",
    phrasings=(
        "{name} lends ${capital} at {rate}% simple interest a year. How many dollars of interest come in after "
        "{years} years?",
        "An account pays {rate}% simple interest a year. How much interest, in dollars, does ${capital} earn in "
        "{years} years?",
    ),
)
def simple_interest(random: Random) -> Drawn:
    capital, rate, years = random.randrange(200, 5000, 100), random.randint(2, 9), random.randint(2, 8)
    return {"capital": capital, "rate": rate, "years": years}, capital // 100 * rate * years


@template(
    difficulty="medium",
    expression="{count} * ({sale} - {cost}) - {rent}",
    phrasings=(
        "{name} makes candles for ${cost} each and sells {count} of them for ${sale} each. The market stall costs "
        "${rent}. What is the profit in dollars?",
        "A baker sells {count} cakes at ${sale}. Each cost ${cost} to make, and the stand costs ${rent}. "
        "How many dollars of profit remain?",
    ),
)
def profit(random: Random) -> Drawn:
    count, cost, margin, rent = (
        random.randint(20, 90),
        random.randint(2, 9),
        random.randint(3, 8),
        random.randint(15, 55),
    )
    return {"count": count, "cost": cost, "sale": cost + margin, "rent": rent}, count * margin - rent


@template(
    difficulty="hard",
    expression="{rate} * {hours} + {rate} * {extra} * 3 / 2",
    phrasings=(
        "{name} earns ${rate} an hour and one and a half times that for overtime. How many dollars does {name} earn "
        "for {hours} normal hours and {extra} hours of overtime?",
        "A worker is paid ${rate} an hour for the first {hours} hours and 1.5 times as much for the {extra} hours "
        "after that. What is the pay in dollars?",
    ),
)
def overtime(random: Random) -> Drawn:
    rate, hours, extra = random.randrange(10, 32, 2), random.randint(30, 40), random.randint(2, 10)
    return {"rate": rate, "hours": hours, "extra": extra}, rate * hours + Fraction(3, 2) * rate * extra


@template(
    difficulty="hard",
    expression="({first} + {second}) * (100 + {tax}) / 100 - {coupon}",
    phrasings=(
        "{name} buys shoes for ${first} and a bag for ${second}. A tax of {tax}% is added to the sum, and then a "
        "coupon takes off ${coupon}. How many dollars does {name} pay?",
        "Two lamps cost ${first} and ${second} before {tax}% tax. After the tax, a voucher of ${coupon} is used. "
        "What is left to pay, in dollars?",
    ),
)
def tax_and_coupon(random: Random) -> Drawn:
    total = random.randrange(80, 300, 20)
    first = random.randint(20, total - 20)
    tax, coupon = random.choice((5, 10, 15, 20)), random.randint(5, 30)
    return {"first": first, "second": total - first, "tax": tax, "coupon": coupon}, total // 20 * (
        100 + tax
    ) // 5 - coupon


@template(
    difficulty="hard",
    expression="{adults} * {full} + {children} * {reduced} - {voucher}",
    phrasings=(
        "Zoo tickets cost ${full} for adults and ${reduced} for children. A group of {adults} adults and {children} "
        "children has a voucher of ${voucher}. How many dollars does the group pay?",
        "{adults} adults at ${full} and {children} children at ${reduced} go to the cinema and use a voucher of "
        "${voucher}. What do they pay in dollars?",
    ),
)
def group_tickets(random: Random) -> Drawn:
    adults, children, full = random.randint(2, 9), random.randint(2, 15), random.randint(9, 24)
    reduced, voucher = random.randint(3, full - 2), random.randint(5, 18)
    numbers = {"adults": adults, "children": children, "full": full, "reduced": reduced, "voucher": voucher}
    return numbers, sum([full] * adults + [reduced] * children) - voucher


@template(
    difficulty="medium",
    expression="{sale} * 100 / (100 - {percent})",
    phrasings=(
        "After a discount of {percent}% a coat costs ${sale}. What did it cost before, in dollars?",
        "{name} pays ${sale} for a table that was reduced by {percent}%. How many dollars was the old price?",
    ),
)
def original_price(random: Random) -> Drawn:
    price, percent = random.randrange(20, 400, 20), random.randrange(10, 60, 5)
    return {"sale": price * (100 - percent) // 100, "percent": percent}, price


TEMPLATES = (
    change,
    total_price,
    shared_bill,
    discount,
    tip,
    saving_weeks,
    change_of_several,
    simple_interest,
    profit,
    overtime,
    tax_and_coupon,
    group_tickets,
    original_price,
)
