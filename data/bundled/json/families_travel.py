"""Families about being on the way."""

from data.bundled.json import pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, Family, listed
from data.bundled.json.schemas import BOOLEAN, DATE, TIME, array, enum, integer, nullable, number, record, string

LANGUAGES = {"en": "English", "fr": "French", "de": "German", "es": "Spanish"}


def flight(draw: Draw) -> Facts:
    gate = draw.code("A0") if draw.chance(0.7) else None
    is_delayed = draw.chance()
    gold = {
        "flight": draw.code("AA000"),
        "destination": draw.word(pools.CITIES),
        "departure": draw.time(5, 23),
        "gate": gate,
        "delayed": is_delayed,
    }
    return gold, {
        "gate": f"gate {gate}" if gate else draw.one_of("a gate not yet announced", "no gate assigned yet"),
        "delayed": draw.say(is_delayed, ["running late", "delayed"], ["on schedule", "not delayed"]),
    }


def hotel_booking(draw: Draw) -> Facts:
    has_breakfast = draw.chance()
    gold = {
        "guest": draw.person(),
        "arrival": draw.date().isoformat(),
        "nights": draw.whole(2, 9),
        "room": draw.one_of("single", "double", "suite"),
        "breakfast": has_breakfast,
    }
    return gold, {
        "breakfast": draw.say(
            has_breakfast, ["with breakfast", "breakfast included"], ["without breakfast", "no breakfast"]
        )
    }


def train_ticket(draw: Draw) -> Facts:
    travel_class = draw.one_of(1, 2)
    gold = {
        "passenger": draw.person(),
        "class": travel_class,
        "coach": draw.whole(1, 14),
        "seat": f"{draw.whole(1, 89)}{draw.one_of('A', 'B', 'C', 'D')}",
        "price": draw.decimal(12, 140, 2),
    }
    return gold, {"class": {1: "first class", 2: "second class"}[travel_class]}


def car_rental(draw: Draw) -> Facts:
    insurance = draw.one_of("none", "basic", "full")
    gold = {
        "car": draw.word(pools.CARS),
        "days": draw.whole(2, 21),
        "pickup": {"place": draw.word(pools.PICKUP_PLACES), "time": draw.time(7, 20)},
        "insurance": insurance,
    }
    return gold, {"insurance": "no insurance" if insurance == "none" else f"{insurance} insurance"}


def city_tour(draw: Draw) -> Facts:
    languages = draw.random.sample(sorted(LANGUAGES), draw.whole(1, 2))
    gold = {
        "stops": draw.words(pools.SIGHTS, 2, 3),
        "languages": languages,
        "start": draw.time(8, 17),
        "max_people": draw.whole(6, 30),
    }
    return gold, {"languages": listed([LANGUAGES[language] for language in languages])}


def ferry_crossing(draw: Draw) -> Facts:
    vehicle = draw.one_of("car", "van", "bicycle", None)
    gold = {
        "ship": draw.word(pools.SHIPS),
        "port": draw.word(pools.PORTS),
        "vehicle": vehicle,
        "passengers": draw.whole(2, 8),
        "minutes": draw.whole(35, 240, 5),
    }
    return gold, {"vehicle": f"a {vehicle}" if vehicle else draw.one_of("no vehicle", "nothing on wheels")}


FAMILIES = (
    Family(
        name="flight",
        difficulty="medium",
        schema=record(
            flight=string("^[A-Z]{2}[0-9]{3}$"),
            destination=string(),
            departure=TIME,
            gate=nullable(string()),
            delayed=BOOLEAN,
        ),
        facts=flight,
        sentences=(
            "Flight {flight} to {destination} departs at {departure}, {gate}, and is {delayed}.",
            "The {departure} departure to {destination} is flight {flight}, {gate}; it is {delayed}.",
            "Attention please: {flight} is {delayed}. It leaves for {destination} at {departure}, {gate}.",
            "We are booked on {flight}. The board says {destination}, {departure}, {gate}, and the plane is {delayed}.",
            "Passengers for {destination} take flight {flight} at {departure} ({gate}). The flight is {delayed}.",
            "My plane to {destination} is {delayed}, my sister wrote: {flight}, {departure}, {gate}.",
        ),
        asides=("The lounge closes at midnight.", "Boarding takes half an hour.", "Meals are served on board."),
    ),
    Family(
        name="hotel_booking",
        difficulty="medium",
        schema=record(
            guest=string(),
            arrival=DATE,
            nights=integer(1, 30),
            room=enum("single", "double", "suite"),
            breakfast=BOOLEAN,
        ),
        facts=hotel_booking,
        sentences=(
            "{guest} arrives on {arrival} and stays {nights} nights in a {room} room, {breakfast}.",
            "Please reserve a {room} room for {guest} from {arrival}, {nights} nights, {breakfast}.",
            "Booking for {guest}: {room} room, {breakfast}. Check-in {arrival}, length of stay {nights}.",
            "On {arrival} we expect {guest}, who wants a {room} room for {nights} nights, {breakfast}.",
            "A {room} room, {breakfast}, was booked by {guest}. Number of nights: {nights}. First day: {arrival}.",
            "For {nights} nights starting {arrival}, {guest} takes the {room} room, {breakfast}.",
        ),
        asides=(
            "The pool is closed for repairs.",
            "Check-in opens at three in the afternoon.",
            "A taxi was requested.",
        ),
    ),
    Family(
        name="train_ticket",
        difficulty="hard",
        schema=record(
            passenger=string(),
            **{"class": enum(1, 2)},
            coach=integer(1, 20),
            seat=string("^[0-9]{1,2}[A-D]$"),
            price=number(0),
        ),
        facts=train_ticket,
        sentences=(
            "{passenger} travels {class} in coach {coach}, seat {seat}, for {price} euros.",
            "Ticket for {passenger}: {class}, coach {coach}, seat {seat}, price {price}.",
            "For {price} euros {passenger} got seat {seat} in coach {coach}, {class}.",
            "Coach {coach}, seat {seat} is taken by {passenger}, who paid {price} for {class}.",
            "The conductor checked {passenger} in {class}: seat {seat}, coach {coach}. The fare was {price}.",
            "I paid {price} for a {class} ticket. It says coach {coach}, seat {seat}, and the name {passenger}.",
        ),
        asides=("The train has a dining car.", "There is a change halfway.", "Dogs travel for half the fare."),
    ),
    Family(
        name="car_rental",
        difficulty="hard",
        schema=record(
            car=string(),
            days=integer(1, 30),
            pickup=record(place=string(), time=TIME),
            insurance=enum("none", "basic", "full"),
        ),
        facts=car_rental,
        sentences=(
            "We rent a {car} for {days} days with {insurance}, pickup at the {pickup_place} at {pickup_time}.",
            "Collect the {car} from the {pickup_place} at {pickup_time}. It is yours for {days} days, {insurance}.",
            "A {car} with {insurance}: {days} days, to be picked up {pickup_time} at the {pickup_place}.",
            "At {pickup_time} a {car} will wait at the {pickup_place}. The contract runs {days} days with {insurance}.",
            "The customer wants {insurance} and a {car} for {days} days. Meet at the {pickup_place}, {pickup_time}.",
            "Rental of {days} days, {insurance}. Vehicle: {car}. Pickup: {pickup_place}, {pickup_time}.",
        ),
        asides=("The tank must be returned full.", "A child seat is free.", "The deposit is paid by card."),
    ),
    Family(
        name="city_tour",
        difficulty="hard",
        schema=record(
            stops=array(string(), least=2, most=4),
            languages=array(enum(*sorted(LANGUAGES))),
            start=TIME,
            max_people=integer(1, 40),
        ),
        facts=city_tour,
        sentences=(
            "The tour in {languages} starts at {start} and visits {stops}. At most {max_people} people can join.",
            "At {start} we walk to {stops}, guided in {languages}, with no more than {max_people} people.",
            "See {stops} on a walk in {languages}! Start {start}, limited to {max_people} people.",
            "Our guide speaks {languages}. Up to {max_people} visitors meet at {start} and see {stops}.",
            "No more than {max_people} guests per walk. Route: {stops}. Start: {start}. Spoken: {languages}.",
            "Tours in {languages}, starting {start}, lead past {stops} and take at most {max_people} people.",
        ),
        asides=("Bring good shoes.", "It goes ahead in any weather.", "Children walk for free."),
    ),
    Family(
        name="ferry_crossing",
        difficulty="medium",
        schema=record(
            ship=string(),
            port=string(),
            vehicle=enum("car", "van", "bicycle", None),
            passengers=integer(1, 9),
            minutes=integer(1),
        ),
        facts=ferry_crossing,
        sentences=(
            "The {ship} sails to {port} in {minutes} minutes; booked: {passengers} passengers and {vehicle}.",
            "The {ship} to {port}: {passengers} passengers with {vehicle}. The crossing takes {minutes} minutes.",
            "We cross to {port} on the {ship} with {vehicle}. Number of passengers: {passengers}. Minutes: {minutes}.",
            "After {minutes} minutes the {ship} reaches {port}. Our booking has {passengers} passengers and {vehicle}.",
            "Booking for {passengers} passengers and {vehicle} on the {ship}, {minutes} minutes to {port}.",
            "It takes {minutes} minutes to {port}. The {ship} ticket covers {vehicle} and {passengers} passengers.",
        ),
        asides=("The sea is calm today.", "The cafeteria is on the upper deck.", "Cabins are sold out."),
    ),
)
