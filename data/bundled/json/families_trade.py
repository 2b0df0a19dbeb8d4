"""Families about buying and selling."""

from data.bundled.json import pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, Family, listed
from data.bundled.json.schemas import BOOLEAN, array, enum, integer, nullable, number, record, string

REASONS = {
    "damaged": "the goods arrived damaged",
    "late": "the delivery came too late",
    "wrong_item": "the wrong item was sent",
}


def invoice(draw: Draw) -> Facts:
    is_paid = draw.chance()
    gold = {
        "number": draw.code("INV-0000"),
        "customer": draw.word(pools.COMPANIES),
        "total": draw.decimal(15, 900, 2),
        "currency": draw.one_of("EUR", "USD", "GBP"),
        "paid": is_paid,
    }
    return gold, {"paid": draw.say(is_paid, ["has been paid", "is settled"], ["is still unpaid", "has not been paid"])}


def order(draw: Draw) -> Facts:
    items = [{"name": name, "quantity": draw.whole(1, 12)} for name in draw.words(pools.GOODS, 2, 2)]
    is_express = draw.chance()
    gold = {"customer": draw.word(pools.FIRST_NAMES), "items": items, "express": is_express}
    return gold, {
        "items": listed([f"{item['quantity']} x {item['name']}" for item in items]),
        "express": draw.say(is_express, ["express delivery", "express shipping"], ["normal delivery", "no express"]),
    }


def refund(draw: Draw) -> Facts:
    reason = draw.one_of(*REASONS)
    gold = {"order": draw.whole(1000, 9999), "amount": draw.decimal(5, 200, 2), "reason": reason}
    return gold, {"reason": REASONS[reason]}


def product(draw: Draw) -> Facts:
    return {
        "name": draw.word(pools.GOODS),
        "price": draw.decimal(8, 300, 2),
        "colors": draw.words(pools.COLORS, 1, 3),
        "stock": draw.whole(2, 95),
    }, {}


def parcel(draw: Draw) -> Facts:
    sides = [draw.whole(10, 90), draw.whole(10, 60), draw.whole(5, 40)]
    is_fragile = draw.chance()
    gold = {
        "tracking": draw.code("AA0000"),
        "weight_kg": draw.decimal(1, 20),
        "size_cm": sides,
        "fragile": is_fragile,
    }
    return gold, {
        "size_cm": " x ".join(str(side) for side in sides),
        "fragile": draw.say(is_fragile, ["fragile", "marked fragile"], ["not fragile", "not marked fragile"]),
    }


def subscription(draw: Draw) -> Facts:
    trial_days = draw.one_of(7, 14, 30, None)
    gold = {
        "plan": draw.one_of("basic", "plus", "pro"),
        "seats": draw.whole(2, 60),
        "billing": draw.one_of("monthly", "yearly"),
        "trial_days": trial_days,
    }
    return gold, {
        "trial_days": f"a trial of {trial_days} days" if trial_days else draw.one_of("no trial", "no free trial")
    }


FAMILIES = (
    Family(
        name="invoice",
        difficulty="medium",
        schema=record(
            number=string("^INV-[0-9]{4}$"),
            customer=string(),
            total=number(0),
            currency=enum("EUR", "USD", "GBP"),
            paid=BOOLEAN,
        ),
        facts=invoice,
        sentences=(
            "Invoice {number} to {customer} over {total} {currency} {paid}.",
            "We billed {customer} {total} {currency} under {number}; the invoice {paid}.",
            "{customer} received {number}. The amount of {total} {currency} {paid}.",
            "The bill {number} {paid}: {total} {currency}, customer {customer}.",
            "Note for the files: {total} {currency} from {customer} (invoice {number}) {paid}.",
            "Customer {customer}, invoice {number}, sum {total} {currency}. It {paid}.",
        ),
        asides=("The bank is closed on Monday.", "Send a copy to the accountant.", "The letter went out by post."),
    ),
    Family(
        name="order",
        difficulty="hard",
        schema=record(
            customer=string(),
            items=array(record(name=string(), quantity=integer(1)), most=4),
            express=BOOLEAN,
        ),
        facts=order,
        sentences=(
            "{customer} ordered {items} with {express}.",
            "Order from {customer}: {items}, {express}.",
            "Please send {items} to {customer}, {express}.",
            "With {express}, {customer} wants {items}.",
            "{customer} phoned this morning and asked for {items}; {express}.",
            "The cart holds {items}. Buyer: {customer}. Shipping: {express}.",
        ),
        asides=("The coupon had expired.", "Gift wrapping was declined.", "The shop opens at 9."),
    ),
    Family(
        name="refund",
        difficulty="easy",
        schema=record(order=integer(1000, 9999), amount=number(0), reason=enum(*REASONS)),
        facts=refund,
        sentences=(
            "Refund {amount} for order {order} because {reason}.",
            "For order {order} we pay back {amount}, as {reason}.",
            "Since {reason}, the buyer of order {order} gets {amount} back.",
            "Order {order}: {reason}, so {amount} is returned.",
            "The customer wants {amount} back. Order {order}, and the cause is that {reason}.",
            "A sum of {amount} goes back to the client of order {order}: {reason}.",
        ),
        asides=("The agent apologised.", "The client has bought here for years.", "A photo was attached."),
    ),
    Family(
        name="product",
        difficulty="medium",
        schema=record(name=string(), price=number(0), colors=array(string()), stock=integer(0)),
        facts=product,
        sentences=(
            "The {name} costs {price} and comes in {colors}; {stock} are in stock.",
            "New in the shop: {name} at {price}, in {colors}. Stock: {stock}.",
            "We have {stock} pieces of the {name}, sold for {price}, in {colors}.",
            "For {price} you get our {name} in {colors}, of which {stock} are left.",
            "Available in {colors}: the {name}. Price {price}, stock {stock}.",
            "There are {stock} left of the {name} ({colors}) at a price of {price}.",
        ),
        asides=("It was reviewed in a magazine.", "The warranty covers two years.", "Batteries are not included."),
    ),
    Family(
        name="parcel",
        difficulty="hard",
        schema=record(
            tracking=string("^[A-Z]{2}[0-9]{4}$"),
            weight_kg=number(0, 30),
            size_cm=array(integer(1), least=3, most=3),
            fragile=BOOLEAN,
        ),
        facts=parcel,
        sentences=(
            "Parcel {tracking} weighs {weight_kg} kg, measures {size_cm} cm and is {fragile}.",
            "The box {tracking} is {fragile}, {size_cm} cm, {weight_kg} kg.",
            "Tracking code {tracking}: {weight_kg} kg, {size_cm} cm, {fragile}.",
            "At {weight_kg} kg and {size_cm} cm, parcel {tracking} is {fragile}.",
            "The courier picked up a {size_cm} cm carton of {weight_kg} kg, {fragile}, code {tracking}.",
            "It is {fragile}, said the clerk, and noted {tracking}, {size_cm} cm and {weight_kg} kg.",
        ),
        asides=("The sender paid in cash.", "Nobody was at home yesterday.", "The van comes before noon."),
    ),
    Family(
        name="subscription",
        difficulty="easy",
        schema=record(
            plan=enum("basic", "plus", "pro"),
            seats=integer(1),
            billing=enum("monthly", "yearly"),
            trial_days=nullable(integer(1)),
        ),
        facts=subscription,
        sentences=(
            "The team takes the {plan} plan with {seats} seats, {billing} billing and {trial_days}.",
            "Sign us up: {plan}, {seats} seats, {trial_days}, billed {billing}.",
            "We would like {seats} seats on the {plan} plan, paid {billing}, with {trial_days}.",
            "Billed {billing}, the {plan} plan has {seats} seats and {trial_days}.",
            "With {trial_days}, the office starts on {plan}: {seats} seats, {billing} payment.",
            "The offer says {trial_days}. We need {seats} seats, {plan} plan, and pay {billing}.",
        ),
        asides=("The contract is on the shared drive.", "Prices rise in spring.", "Support answers within a day."),
    ),
)
