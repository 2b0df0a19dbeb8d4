"""Families about sport, culture and weather."""

from data.bundled.json import pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, Family
from data.bundled.json.schemas import BOOLEAN, TIME, array, enum, integer, nullable, number, record, string

WINDS = {"N": "northerly", "E": "easterly", "S": "southerly", "W": "westerly"}
UNITS = {"C": "degrees Celsius", "hPa": "hectopascals", "%": "percent"}


def weather(draw: Draw) -> Facts:
    wind = draw.one_of(*WINDS)
    rain = draw.decimal(1, 30) if draw.chance() else None
    low = draw.whole(-12, 18)
    gold = {"city": draw.word(pools.CITIES), "low": low, "high": low + draw.whole(3, 14), "wind": wind, "rain_mm": rain}
    return gold, {
        "wind": f"{WINDS[wind]} wind",
        "rain_mm": f"{rain} mm of rain" if rain else draw.one_of("no rain", "no rain at all"),
    }


def match_result(draw: Draw) -> Facts:
    home, away = draw.words(pools.TEAMS, 2, 2)
    went_long = draw.chance()
    gold = {
        "home": {"team": home, "goals": draw.whole(0, 6)},
        "away": {"team": away, "goals": draw.whole(0, 6)},
        "extra_time": went_long,
    }
    return gold, {
        "extra_time": draw.say(
            went_long, ["after extra time", "in extra time"], ["without extra time", "no extra time needed"]
        )
    }


def exhibit(draw: Draw) -> Facts:
    room = draw.whole(1, 30) if draw.chance(0.6) else None
    gold = {
        "title": draw.word(pools.PAINTINGS),
        "artist": draw.word(pools.SURNAMES),
        "year": draw.whole(1620, 1990),
        "room": room,
    }
    return gold, {"room": f"in room {room}" if room else draw.one_of("not in any room", "in storage, without a room")}


def concert(draw: Draw) -> Facts:
    is_sold_out = draw.chance()
    gold = {
        "band": draw.word(pools.BANDS),
        "venue": draw.word(pools.VENUES),
        "doors": draw.time(17, 21),
        "price": draw.decimal(9, 80),
        "sold_out": is_sold_out,
    }
    return gold, {
        "sold_out": draw.say(is_sold_out, ["sold out", "already sold out"], ["not sold out", "not yet sold out"])
    }


def race_result(draw: Draw) -> Facts:
    has_finished = draw.chance(0.6)
    gold = {
        "runner": draw.person(),
        "bib": draw.whole(10, 990),
        "laps": [draw.whole(58, 99) for _ in range(draw.whole(2, 4))],
        "finished": has_finished,
    }
    return gold, {
        "finished": draw.say(
            has_finished, ["finished the race", "reached the finish"], ["did not finish", "gave up before the finish"]
        )
    }


def sensor_reading(draw: Draw) -> Facts:
    unit = draw.one_of(*UNITS)
    is_valid = draw.chance()
    value = {"C": draw.decimal(2, 39), "hPa": draw.decimal(950, 1040), "%": draw.decimal(15, 95)}[unit]
    gold = {"sensor": f"S{draw.whole(1, 99)}", "value": value, "unit": unit, "valid": is_valid}
    return gold, {
        "unit": UNITS[unit],
        "valid": draw.say(is_valid, ["valid", "a valid reading"], ["invalid", "not valid"]),
    }


FAMILIES = (
    Family(
        name="weather",
        difficulty="hard",
        schema=record(city=string(), low=integer(), high=integer(), wind=enum(*WINDS), rain_mm=nullable(number(0))),
        facts=weather,
        sentences=(
            "{city}: between {low} and {high} degrees, {wind}, {rain_mm}.",
            "Tomorrow in {city} the low is {low}, the high {high}, with {wind} and {rain_mm}.",
            "Expect {rain_mm} and a {wind} in {city}, from {low} up to {high} degrees.",
            "A {wind} blows over {city}. Lowest {low}, highest {high}, {rain_mm}.",
            "The report for {city} says {wind}, {rain_mm}, a high of {high} and a low of {low}.",
            "With {rain_mm} and temperatures from {low} to {high}, {city} has a {wind}.",
        ),
        asides=("The report is read twice a day.", "The pollen count is low.", "Sunglasses may help."),
    ),
    Family(
        name="match_result",
        difficulty="hard",
        schema=record(
            home=record(team=string(), goals=integer(0)),
            away=record(team=string(), goals=integer(0)),
            extra_time=BOOLEAN,
        ),
        facts=match_result,
        sentences=(
            "At home, the {home_team} scored {home_goals} and the visiting {away_team} {away_goals}, {extra_time}.",
            "{home_team} {home_goals}, {away_team} {away_goals}, {extra_time}. The first named played at home.",
            "The {away_team} travelled to the {home_team} and scored {away_goals} against {home_goals}, {extra_time}.",
            "Home side {home_team}: {home_goals}. Guests {away_team}: {away_goals}. It ended {extra_time}.",
            "Playing away, the {away_team} scored {away_goals}; the {home_team} had {home_goals}, {extra_time}.",
            "Result {extra_time}: {home_team} (home) {home_goals}, {away_team} (away) {away_goals}.",
        ),
        asides=("The referee showed two cards.", "It was a cold evening.", "The stadium was full."),
    ),
    Family(
        name="exhibit",
        difficulty="medium",
        schema=record(title=string(), artist=string(), year=integer(), room=nullable(integer(1))),
        facts=exhibit,
        sentences=(
            '"{title}" by {artist}, painted in {year}, is {room}.',
            'The artist {artist} made "{title}" in {year}; today it is {room}.',
            'From {year} comes "{title}", a work of {artist}, now {room}.',
            'Catalogue: {artist}, "{title}", {year}, {room}.',
            'Currently {room}: "{title}" ({year}), painter {artist}.',
            'In {year} {artist} finished "{title}", which is {room}.',
        ),
        asides=("The museum shop sells a print.", "The frame was restored.", "Photos are forbidden."),
    ),
    Family(
        name="concert",
        difficulty="medium",
        schema=record(band=string(), venue=string(), doors=TIME, price=number(0), sold_out=BOOLEAN),
        facts=concert,
        sentences=(
            "{band} play at {venue}, doors {doors}, tickets {price}, {sold_out}.",
            "Doors open at {doors} for {band} at {venue}. A ticket is {price}; the show is {sold_out}.",
            "The show of {band} at {venue} is {sold_out}. Price {price}, doors {doors}.",
            "For {price} you could see {band} at {venue} from {doors}; it is {sold_out}.",
            "{venue} presents {band}: doors at {doors}, entry {price}, {sold_out}.",
            "It is {sold_out}: {band}, live at {venue}, {price} a ticket, doors at {doors}.",
        ),
        asides=("The support act is a surprise.", "Bags must stay outside.", "The last tram runs at night."),
    ),
    Family(
        name="race_result",
        difficulty="medium",
        schema=record(runner=string(), bib=integer(1), laps=array(integer(1)), finished=BOOLEAN),
        facts=race_result,
        sentences=(
            "{runner} with bib {bib} ran laps of {laps} seconds and {finished}.",
            "Bib {bib}, {runner}, {finished}. Laps in seconds: {laps}.",
            "The laps of {runner} (bib {bib}) took {laps} seconds, and the runner {finished}.",
            "Wearing bib {bib}, {runner} {finished} with lap times of {laps} seconds.",
            "Lap times {laps} were noted for bib {bib}; {runner} {finished}.",
            "{runner} {finished}. The timer shows {laps} seconds for the laps of bib {bib}.",
        ),
        asides=("The track was wet.", "Spectators cheered.", "Medals follow at noon."),
    ),
    Family(
        name="sensor_reading",
        difficulty="medium",
        schema=record(sensor=string("^S[0-9]{1,2}$"), value=number(), unit=enum(*UNITS), valid=BOOLEAN),
        facts=sensor_reading,
        sentences=(
            "Sensor {sensor} shows {value} {unit}, {valid}.",
            "The reading of {sensor} is {value} {unit} and is {valid}.",
            "{value} {unit} were measured by {sensor}; the value is {valid}.",
            "Marked as {valid}: {sensor} with {value} {unit}.",
            "We read {value} {unit} from {sensor}. The check says {valid}.",
            "At the last poll {sensor} sent {value} {unit}, which is {valid}.",
        ),
        asides=("The battery is fine.", "The next poll is in an hour.", "It hangs by the window."),
    ),
)
