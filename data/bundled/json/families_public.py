"""Families about offices, clinics and libraries."""

from data.bundled.json import pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, Family
from data.bundled.json.schemas import BOOLEAN, DATE, TIME, enum, integer, nullable, record, string

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def lost_property(draw: Draw) -> Facts:
    is_claimed = draw.chance()
    gold = {
        "item": draw.word(pools.LOST_THINGS),
        "color": draw.one_of(*pools.COLORS[:6]),
        "place": draw.word(pools.FINDING_PLACES),
        "claimed": is_claimed,
    }
    return gold, {"claimed": draw.say(is_claimed, ["claimed", "already claimed"], ["unclaimed", "not yet claimed"])}


def appointment(draw: Draw) -> Facts:
    time = draw.time(8, 17)
    hour, minute = time.split(":")
    is_afternoon = int(hour) >= 12
    is_first = draw.chance()
    gold = {
        "patient": draw.person(),
        "doctor": draw.word(pools.SURNAMES),
        "time": time,
        "first_visit": is_first,
    }
    return gold, {
        "time": f"{(int(hour) - 1) % 12 + 1}:{minute} {'pm' if is_afternoon else 'am'}",
        "first_visit": draw.say(is_first, ["a first visit", "the first visit"], ["a follow-up", "not the first visit"]),
    }


def parking_permit(draw: Draw) -> Facts:
    return {
        "plate": draw.code("AA-000"),
        "zone": draw.one_of("A", "B", "C", "D"),
        "months": draw.whole(2, 24),
    }, {}


def blood_donation(draw: Draw) -> Facts:
    is_first = draw.chance()
    gold = {
        "donor": draw.person(),
        "group": draw.one_of("A+", "A-", "B+", "B-", "O+", "O-"),
        "ml": draw.whole(350, 500, 10),
        "first_time": is_first,
    }
    return gold, {
        "first_time": draw.say(
            is_first, ["for the first time", "as a first donation"], ["not for the first time", "as a repeat donor"]
        )
    }


def library_loan(draw: Draw) -> Facts:
    due = draw.date()
    gold = {
        "title": draw.word(pools.BOOKS),
        "reader": draw.word(pools.FIRST_NAMES),
        "due": due.isoformat(),
        "renewals": draw.whole(2, 5),
    }
    return gold, {"due": f"{due.day} {MONTHS[due.month - 1]} {due.year}"}


def visitor_badge(draw: Draw) -> Facts:
    host = draw.word(pools.FIRST_NAMES) if draw.chance(0.6) else None
    gold = {
        "visitor": draw.person(),
        "company": draw.word(pools.COMPANIES),
        "host": host,
        "floor": draw.whole(-2, 18),
    }
    return gold, {"host": f"hosted by {host}" if host else draw.one_of("without a host", "with no host named")}


FAMILIES = (
    Family(
        name="lost_property",
        difficulty="easy",
        schema=record(item=string(), color=enum(*pools.COLORS[:6]), place=string(), claimed=BOOLEAN),
        facts=lost_property,
        sentences=(
            "Lost and found has a {color} {item} from {place}, {claimed}.",
            "Somebody left a {color} {item} at {place}; it is {claimed}.",
            "Found at {place}: {item}, {color}, {claimed}.",
            "The {item} is {claimed}. It is {color} and was found at {place}.",
            "Our driver handed in a {color} {item}. Place: {place}. Status: {claimed}.",
            "At {place} we picked up a {item} of {color} colour, which is {claimed}.",
        ),
        asides=("The desk opens at 10.", "Bring an identity card.", "It rained all day."),
    ),
    Family(
        name="appointment",
        difficulty="hard",
        schema=record(patient=string(), doctor=string(note="surname"), time=TIME, first_visit=BOOLEAN),
        facts=appointment,
        sentences=(
            "{patient} sees Dr. {doctor} at {time}; it is {first_visit}.",
            "Dr. {doctor} expects {patient} at {time}, {first_visit}.",
            "At {time} there is {first_visit} of {patient} with Dr. {doctor}.",
            "Please note {first_visit} for {patient}: {time}, Dr. {doctor}.",
            "The appointment of {patient} with Dr. {doctor} is at {time} and is {first_visit}.",
            "It is {first_visit} for {patient}, who comes at {time} to see Dr. {doctor}.",
        ),
        asides=("The practice is on the second floor.", "Bring the insurance card.", "The phone line was busy."),
    ),
    Family(
        name="parking_permit",
        difficulty="easy",
        schema=record(plate=string("^[A-Z]{2}-[0-9]{3}$"), zone=enum("A", "B", "C", "D"), months=integer(1, 24)),
        facts=parking_permit,
        sentences=(
            "Permit for plate {plate} in zone {zone}, valid {months} months.",
            "The car {plate} may park in zone {zone} for {months} months.",
            "For {months} months, {plate} has a permit in zone {zone}.",
            "Zone {zone}: a permit of {months} months was issued to {plate}.",
            "We ask for a permit of {months} months. Plate {plate}, zone {zone}.",
            "A permit in zone {zone} goes to the owner of {plate}; duration in months: {months}.",
        ),
        asides=("The fee was paid at the counter.", "The car is red.", "Pick it up at the town hall."),
    ),
    Family(
        name="blood_donation",
        difficulty="easy",
        schema=record(
            donor=string(), group=enum("A+", "A-", "B+", "B-", "O+", "O-"), ml=integer(100, 600), first_time=BOOLEAN
        ),
        facts=blood_donation,
        sentences=(
            "{donor}, blood group {group}, gave {ml} ml {first_time}.",
            "We took {ml} ml from {donor} (group {group}), {first_time}.",
            "Donor {donor} has group {group} and came {first_time}; volume {ml} ml.",
            "Today {donor} donated {first_time}: {ml} ml, group {group}.",
            "A bag of {ml} ml, group {group}, was given by {donor}, {first_time}.",
            "Group {group}, {ml} ml, {first_time}: {donor}.",
        ),
        asides=("Juice and biscuits were served.", "The bus parks by the church.", "It took ten minutes."),
    ),
    Family(
        name="library_loan",
        difficulty="hard",
        schema=record(title=string(), reader=string(), due=DATE, renewals=integer(0, 5)),
        facts=library_loan,
        sentences=(
            '{reader} borrowed "{title}", due {due}, renewed {renewals} times.',
            'The book "{title}" is with {reader} until {due}. Renewals so far: {renewals}.',
            'Due on {due}: "{title}", reader {reader}, renewals {renewals}.',
            'After {renewals} renewals, {reader} must bring back "{title}" by {due}.',
            'Reader {reader} has "{title}". Number of renewals {renewals}, return by {due}.',
            'By {due} we expect "{title}" from {reader}, who has renewed it {renewals} times.',
        ),
        asides=("The library is closed on Sunday.", "Late books cost a fee.", "Three people wait for it."),
    ),
    Family(
        name="visitor_badge",
        difficulty="medium",
        schema=record(visitor=string(), company=string(), host=nullable(string()), floor=integer(-3, 20)),
        facts=visitor_badge,
        sentences=(
            "{visitor} of {company} visits floor {floor}, {host}.",
            "Badge for {visitor}, {company}: floor {floor}, {host}.",
            "Reception let in {visitor} from {company}, {host}, floor {floor}.",
            "On floor {floor} we have {visitor} from {company}, {host}.",
            "A visitor, {visitor}, came {host} for {company}. Floor: {floor}.",
            "The company {company} sends {visitor}, {host}, to floor {floor}.",
        ),
        asides=("The lift is slow.", "Badges are returned in the evening.", "Parking is free for guests."),
    ),
)
