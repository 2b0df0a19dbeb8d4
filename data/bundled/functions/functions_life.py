"""Functions of travel, home and calendar."""

from data.bundled.functions import pools
from data.bundled.functions.function import Function, default, note, spoken_date, spoken_time
from data.bundled.json import pools as shared_pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, listed
from data.bundled.json.schemas import BOOLEAN, DATE, TIME, array, enum, integer, number, record, string

PERSONS = array(string(), least=1)


def search_flights(draw: Draw) -> Facts:
    origin, destination = draw.words(shared_pools.CITIES, 2, 2)
    day = draw.date()
    drawn = {
        "origin": origin,
        "destination": destination,
        "date": day.isoformat(),
        "passengers": draw.whole(2, 6),
        "cabin": draw.one_of("business", "first"),
    }
    return drawn, {"date": spoken_date(draw, day)}


def reserve_hotel(draw: Draw) -> Facts:
    day = draw.date()
    drawn = {
        "city": draw.word(shared_pools.CITIES),
        "check_in": day.isoformat(),
        "nights": draw.whole(2, 9),
        "guests": draw.whole(2, 5),
        "breakfast": True,
    }
    return drawn, {"check_in": spoken_date(draw, day), "breakfast": "breakfast included"}


def rent_bicycle(draw: Draw) -> Facts:
    kind = draw.one_of("city", "mountain", "electric")
    drawn = {
        "station": draw.word(shared_pools.PICKUP_PLACES),
        "kind": kind,
        "hours": draw.whole(2, 10),
        "helmet": True,
    }
    return drawn, {"helmet": "with a helmet"}


def set_thermostat(draw: Draw) -> Facts:
    time = draw.time(8, 23)
    drawn = {
        "room": draw.word(pools.ROOMS),
        "celsius": draw.one_of(draw.whole(16, 25), draw.whole(16, 24) + 0.5),
        "until": time,
    }
    return drawn, {"until": spoken_time(draw, time)}


def set_lights(draw: Draw) -> Facts:
    rooms = draw.words(pools.ROOMS, 1, 3)
    drawn = {
        "rooms": rooms,
        "brightness": draw.whole(5, 95, 5),
        "colour": draw.one_of("red", "blue", "green"),
    }
    return drawn, {"rooms": listed([f"the {room}" for room in rooms])}


def start_appliance(draw: Draw) -> Facts:
    drawn = {
        "appliance": draw.word(pools.MACHINES),
        "program": draw.one_of("eco", "normal", "intensive"),
        "delay_minutes": draw.whole(5, 90, 5),
    }
    return drawn, {}


def create_event(draw: Draw) -> Facts:
    day, time = draw.date(), draw.time(8, 20)
    guests = [draw.person() for _ in range(draw.whole(1, 2))]
    drawn = {
        "title": draw.word(pools.EVENTS),
        "date": day.isoformat(),
        "start": time,
        "minutes": draw.whole(20, 120, 5),
        "guests": guests,
    }
    return drawn, {"date": spoken_date(draw, day), "start": spoken_time(draw, time), "guests": listed(guests)}


def set_reminder(draw: Draw) -> Facts:
    day, time = draw.date(), draw.time(7, 21)
    drawn = {"task": draw.word(pools.ERRANDS), "due": {"date": day.isoformat(), "time": time}}
    return drawn, {"due_date": spoken_date(draw, day), "due_time": spoken_time(draw, time)}


def move_event(draw: Draw) -> Facts:
    day, time = draw.date(), draw.time(8, 20)
    drawn = {"title": draw.word(pools.EVENTS), "new_date": day.isoformat(), "new_start": time}
    return drawn, {"new_date": spoken_date(draw, day), "new_start": spoken_time(draw, time)}


FUNCTIONS = (
    Function(
        name="search_flights",
        domain="travel",
        description="Searches flights.",
        required={"origin": note(string(), "city"), "destination": note(string(), "city"), "date": DATE},
        optional={
            "passengers": default(integer(1, 9), 1),
            "cabin": default(enum("economy", "business", "first"), "economy"),
        },
        facts=search_flights,
        clauses=(
            "find flights from {origin} to {destination} on {date}",
            "look for a flight to {destination} that leaves {origin} on {date}",
            "show me the flights out of {origin} to {destination} on {date}",
            "check which planes go from {origin} to {destination} on {date}",
        ),
        tails={"passengers": " for {passengers} passengers", "cabin": " in {cabin} class"},
    ),
    Function(
        name="reserve_hotel",
        domain="travel",
        description="Reserves a hotel room.",
        required={"city": string(), "check_in": DATE, "nights": integer(1, 30)},
        optional={"guests": default(integer(1, 6), 1), "breakfast": default(BOOLEAN, False)},
        facts=reserve_hotel,
        clauses=(
            "reserve a hotel in {city} from {check_in}, {nights} nights",
            "book me {nights} nights in a hotel in {city}, arriving on {check_in}",
            "get a hotel room in {city} for {nights} nights with check-in on {check_in}",
            "find me a bed in a hotel in {city}: {nights} nights, first night {check_in}",
        ),
        tails={"guests": " for {guests} guests", "breakfast": ", {breakfast}"},
    ),
    Function(
        name="rent_bicycle",
        domain="travel",
        description="Rents a bicycle at a station.",
        required={"station": string(), "kind": enum("city", "mountain", "electric"), "hours": integer(1, 24)},
        optional={"helmet": default(BOOLEAN, False)},
        facts=rent_bicycle,
        clauses=(
            "rent the {kind} bicycle at station {station} for {hours} hours",
            "get me one {kind} bike for {hours} hours from station {station}",
            "hire one {kind} bicycle for {hours} hours, pickup at station {station}",
            "reserve one {kind} bike at station {station} and keep it for {hours} hours",
        ),
        tails={"helmet": ", {helmet}"},
    ),
    Function(
        name="set_thermostat",
        domain="home",
        description="Sets the temperature of a room.",
        required={"room": string(), "celsius": number(5, 30)},
        optional={"until": note(TIME, "HH:MM")},
        facts=set_thermostat,
        clauses=(
            "set the heating in the {room} to {celsius} degrees",
            "heat the {room} to {celsius} degrees",
            "turn the thermostat in the {room} to {celsius} degrees",
            "keep the {room} at {celsius} degrees",
        ),
        tails={"until": " until {until}"},
    ),
    Function(
        name="set_lights",
        domain="home",
        description="Sets the lights of one or more rooms.",
        required={"rooms": array(string()), "brightness": note(integer(0, 100), "percent")},
        optional={"colour": default(enum("white", "red", "blue", "green"), "white")},
        facts=set_lights,
        clauses=(
            "set the lights to {brightness} percent in {rooms}",
            "turn the lamps to {brightness} percent in {rooms}",
            "put the light in {rooms} at {brightness} percent",
            "bring the brightness to {brightness} percent in {rooms}",
        ),
        tails={"colour": " and make it {colour}"},
    ),
    Function(
        name="start_appliance",
        domain="home",
        description="Starts a household appliance.",
        required={"appliance": string(), "program": enum("eco", "normal", "intensive")},
        optional={"delay_minutes": default(integer(0, 600), 0)},
        facts=start_appliance,
        clauses=(
            "start the {appliance} with the {program} program",
            "run the {appliance} in {program} mode",
            "switch on the {appliance} with its {program} program",
            "let the {appliance} run on {program}",
        ),
        tails={"delay_minutes": " in {delay_minutes} minutes"},
    ),
    Function(
        name="create_event",
        domain="calendar",
        description="Puts an event into the calendar.",
        required={
            "title": string(),
            "date": DATE,
            "start": note(TIME, "HH:MM"),
            "minutes": note(integer(5, 480), "how long"),
        },
        optional={"guests": note(PERSONS, "full names")},
        facts=create_event,
        clauses=(
            'put "{title}" into my calendar on {date} at {start} for {minutes} minutes',
            'add the event "{title}" on {date}, {start}, lasting {minutes} minutes',
            'schedule "{title}" for {date} at {start}, {minutes} minutes',
            'enter "{title}", {minutes} minutes from {start} on {date}',
        ),
        tails={"guests": " with {guests}"},
    ),
    Function(
        name="set_reminder",
        domain="calendar",
        description="Reminds of a task.",
        required={
            "task": note(string(), "what to do, as the user says it"),
            "due": record(date=DATE, time=note(TIME, "HH:MM")),
        },
        facts=set_reminder,
        clauses=(
            "remind me on {due_date} at {due_time} to {task}",
            "send me a reminder on {due_date}, {due_time}, to {task}",
            "make sure that I remember to {task} on {due_date} at {due_time}",
            "set a reminder for {due_time} on {due_date} to {task}",
        ),
    ),
    Function(
        name="move_event",
        domain="calendar",
        description="Moves an event of the calendar to another time.",
        required={"title": string(), "new_date": DATE, "new_start": note(TIME, "HH:MM")},
        facts=move_event,
        clauses=(
            'move "{title}" to {new_date} at {new_start}',
            'shift the event "{title}" to {new_start} on {new_date}',
            'postpone "{title}" to {new_date}, {new_start}',
            'change "{title}" so that it begins on {new_date} at {new_start}',
        ),
    ),
)
