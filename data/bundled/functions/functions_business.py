"""Functions of shopping, money and office."""

from data.bundled.functions import pools
from data.bundled.functions.function import Function, default, note, spoken_date, spoken_time
from data.bundled.json import pools as shared_pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, listed
from data.bundled.json.schemas import BOOLEAN, DATE, TIME, array, enum, integer, number, record, string

CURRENCIES = {"EUR": "euros", "USD": "dollars", "GBP": "pounds", "JPY": "yen"}
REASONS = {
    "damaged": "arrived damaged",
    "wrong_size": "is the wrong size",
    "not_needed": "is no longer needed",
}
EQUIPMENT = {"projector": "a projector", "whiteboard": "a whiteboard", "camera": "a camera"}


def order_groceries(draw: Draw) -> Facts:
    day = draw.date()
    items = [{"name": name, "quantity": draw.whole(2, 12)} for name in draw.words(shared_pools.COUNTED_FOODS, 1, 3)]
    drawn = {"items": items, "delivery": day.isoformat(), "substitutes": False}
    return drawn, {
        "items": listed([f"{item['quantity']} {item['name']}" for item in items]),
        "delivery": spoken_date(draw, day),
        "substitutes": "without substitutes",
    }


def track_parcel(draw: Draw) -> Facts:
    return {"code": draw.code("AA000000"), "history": True}, {"history": "with all the stops so far"}


def return_order(draw: Draw) -> Facts:
    reason = draw.one_of(*REASONS)
    drawn = {"order": draw.whole(10_000, 99_999), "reason": reason, "refund": "voucher"}
    return drawn, {"reason": REASONS[reason], "refund": "a voucher"}


def transfer_money(draw: Draw) -> Facts:
    currency = draw.one_of("EUR", "USD", "GBP")
    drawn = {
        "recipient": draw.person(),
        "amount": draw.one_of(draw.whole(15, 900), draw.decimal(10, 400, 2)),
        "currency": currency,
        "note": draw.word(pools.NOTES),
    }
    return drawn, {"currency": CURRENCIES[currency]}


def exchange_rate(draw: Draw) -> Facts:
    source, target = draw.random.sample(sorted(CURRENCIES), 2)
    day = draw.date()
    drawn = {"source": source, "target": target, "date": day.isoformat()}
    return drawn, {
        "source": CURRENCIES[source],
        "target": CURRENCIES[target],
        "date": spoken_date(draw, day),
    }


def block_card(draw: Draw) -> Facts:
    drawn = {"last_digits": draw.code("0000"), "reason": draw.one_of("lost", "stolen"), "replacement": False}
    return drawn, {"replacement": "without sending a new one"}


def book_room(draw: Draw) -> Facts:
    day, time = draw.date(), draw.time(8, 17)
    equipment = draw.random.sample(list(EQUIPMENT), draw.whole(1, 2))
    drawn = {
        "room": draw.word(shared_pools.PROJECTS),
        "date": day.isoformat(),
        "start": time,
        "people": draw.whole(2, 20),
        "equipment": equipment,
    }
    return drawn, {
        "date": spoken_date(draw, day),
        "start": spoken_time(draw, time),
        "equipment": listed([EQUIPMENT[thing] for thing in equipment]),
    }


def send_message(draw: Draw) -> Facts:
    receivers = [draw.person() for _ in range(draw.whole(1, 2))]
    drawn = {"to": receivers, "text": draw.word(pools.MESSAGES), "urgent": True}
    return drawn, {"to": listed(receivers), "urgent": "marked as urgent"}


def create_invoice(draw: Draw) -> Facts:
    drawn = {
        "customer": {"company": draw.word(shared_pools.COMPANIES), "city": draw.word(shared_pools.CITIES)},
        "euros": draw.one_of(draw.whole(50, 5_000), draw.decimal(50, 900, 2)),
        "due_days": draw.one_of(7, 14, 21, 60),
    }
    return drawn, {}


FUNCTIONS = (
    Function(
        name="order_groceries",
        domain="shopping",
        description="Orders groceries.",
        required={
            "items": array(record(name=note(string(), "plural, as the user says it"), quantity=integer(1))),
            "delivery": DATE,
        },
        optional={"substitutes": default(note(BOOLEAN, "similar goods are fine"), True)},
        facts=order_groceries,
        clauses=(
            "order {items} for {delivery}",
            "have {items} delivered on {delivery}",
            "buy {items}, to be delivered on {delivery}",
            "get me {items} on {delivery}",
        ),
        tails={"substitutes": ", {substitutes}"},
    ),
    Function(
        name="track_parcel",
        domain="shopping",
        description="Says where a parcel is.",
        required={"code": string("^[A-Z]{2}[0-9]{6}$")},
        optional={"history": default(note(BOOLEAN, "list all stops"), False)},
        facts=track_parcel,
        clauses=(
            "tell me where parcel {code} is",
            "track the parcel {code}",
            "look up parcel {code}",
            "check how far parcel {code} has come",
        ),
        tails={"history": ", {history}"},
    ),
    Function(
        name="return_order",
        domain="shopping",
        description="Sends an order back.",
        required={"order": note(integer(1), "its number"), "reason": enum(*REASONS)},
        optional={"refund": default(enum("card", "voucher"), "card")},
        facts=return_order,
        clauses=(
            "send back order {order}, which {reason}",
            "return order number {order}, because it {reason}",
            "start a return for order {order}: it {reason}",
            "take back order {order}, since it {reason}",
        ),
        tails={"refund": ", for {refund}"},
    ),
    Function(
        name="transfer_money",
        domain="money",
        description="Sends money to a person.",
        required={"recipient": string(), "amount": number(0), "currency": enum("EUR", "USD", "GBP")},
        optional={"note": string()},
        facts=transfer_money,
        clauses=(
            "send {amount} {currency} to {recipient}",
            "transfer {amount} {currency} to {recipient}",
            "pay {recipient} {amount} {currency}",
            "let {recipient} have {amount} {currency} from my account",
        ),
        tails={"note": ' with the note "{note}"'},
    ),
    Function(
        name="exchange_rate",
        domain="money",
        description="Looks up what one unit of a currency costs in another.",
        required={"source": enum(*CURRENCIES), "target": enum(*CURRENCIES)},
        optional={"date": note(DATE, "today when left out")},
        facts=exchange_rate,
        clauses=(
            "look up the exchange rate from {source} to {target}",
            "tell me the rate for changing {source} into {target}",
            "check how {source} convert to {target}",
            "get me the rate from {source} into {target}",
        ),
        tails={"date": " on {date}"},
    ),
    Function(
        name="block_card",
        domain="money",
        description="Blocks a bank card.",
        required={"last_digits": string("^[0-9]{4}$"), "reason": enum("lost", "stolen")},
        optional={"replacement": default(note(BOOLEAN, "send a new card"), True)},
        facts=block_card,
        clauses=(
            "block the card that ends in {last_digits}, it was {reason}",
            "stop my card with the last digits {last_digits}, which was {reason}",
            "freeze the {reason} card ending in {last_digits}",
            "lock the card ...{last_digits} because it was {reason}",
        ),
        tails={"replacement": ", {replacement}"},
    ),
    Function(
        name="book_room",
        domain="office",
        description="Books a meeting room.",
        required={"room": string(), "date": DATE, "start": note(TIME, "HH:MM"), "people": integer(1)},
        optional={"equipment": array(enum(*EQUIPMENT))},
        facts=book_room,
        clauses=(
            "book room {room} on {date} at {start} for {people} people",
            "reserve the meeting room {room} for {people} people, {date}, {start}",
            "get room {room} for a meeting of {people} people on {date} at {start}",
            "block room {room} from {start} on {date} for {people} people",
        ),
        tails={"equipment": " with {equipment}"},
    ),
    Function(
        name="send_message",
        domain="office",
        description="Sends a message to colleagues.",
        required={"to": note(array(string()), "full names"), "text": string()},
        optional={"urgent": default(BOOLEAN, False)},
        facts=send_message,
        clauses=(
            'send {to} the message "{text}"',
            'write "{text}" to {to}',
            'tell {to} by message: "{text}"',
            'message {to} with the words "{text}"',
        ),
        tails={"urgent": ", {urgent}"},
    ),
    Function(
        name="create_invoice",
        domain="office",
        description="Writes an invoice in euros.",
        required={"customer": record(company=string(), city=string()), "euros": number(0)},
        optional={"due_days": default(integer(1), 30)},
        facts=create_invoice,
        clauses=(
            "write an invoice of {euros} euros to {customer_company} in {customer_city}",
            "bill {customer_company} in {customer_city} for {euros} euros",
            "invoice {customer_company}, {customer_city}, over {euros} euros",
            "make out a bill of {euros} euros for {customer_company} in {customer_city}",
        ),
        tails={"due_days": ", due in {due_days} days"},
    ),
)
