"""Families about offices and software."""

from data.bundled.json import pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, Family, listed
from data.bundled.json.schemas import BOOLEAN, TIME, array, enum, integer, nullable, number, record, string

WEEKDAYS = {"mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday"}


def meeting(draw: Draw) -> Facts:
    day = draw.one_of(*WEEKDAYS)
    gold = {
        "topic": draw.word(pools.TOPICS),
        "day": day,
        "start": draw.time(8, 17),
        "minutes": draw.whole(15, 120, 15),
        "people": draw.words(pools.FIRST_NAMES, 2, 3),
    }
    return gold, {"day": WEEKDAYS[day]}


def support_ticket(draw: Draw) -> Facts:
    assignee = draw.word(pools.FIRST_NAMES) if draw.chance(0.6) else None
    gold = {
        "ticket": draw.whole(100, 9999),
        "product": draw.word(pools.SOFTWARE),
        "priority": draw.one_of("low", "normal", "high", "urgent"),
        "assignee": assignee,
    }
    return gold, {
        "assignee": f"assigned to {assignee}" if assignee else draw.one_of("not assigned to anyone", "unassigned")
    }


def job_opening(draw: Draw) -> Facts:
    is_remote = draw.chance()
    lowest = draw.whole(28, 70) * 1000
    gold = {
        "title": draw.word(pools.JOBS),
        "city": draw.word(pools.CITIES),
        "salary": {"min": lowest, "max": lowest + draw.whole(2, 15) * 1000},
        "remote": is_remote,
    }
    return gold, {
        "remote": draw.say(is_remote, ["remote work possible", "can be done remotely"], ["on site only", "not remote"])
    }


def timesheet(draw: Draw) -> Facts:
    entries = [{"project": project, "hours": draw.decimal(1, 8)} for project in draw.words(pools.PROJECTS, 2, 2)]
    is_overtime = draw.chance()
    gold = {"employee": draw.word(pools.FIRST_NAMES), "entries": entries, "overtime": is_overtime}
    return gold, {
        "entries": listed([f"{entry['hours']} hours on {entry['project']}" for entry in entries]),
        "overtime": draw.say(is_overtime, ["with overtime", "including overtime"], ["without overtime", "no overtime"]),
    }


def release(draw: Draw) -> Facts:
    is_breaking = draw.chance()
    gold = {
        "package": draw.word(pools.PACKAGES),
        "version": f"{draw.whole(0, 9)}.{draw.whole(0, 20)}.{draw.whole(0, 9)}",
        "fixes": draw.whole(2, 48),
        "breaking": is_breaking,
    }
    return gold, {
        "breaking": draw.say(
            is_breaking, ["breaking changes", "a breaking change"], ["no breaking changes", "nothing breaking"]
        )
    }


def server_alert(draw: Draw) -> Facts:
    is_acknowledged = draw.chance()
    gold = {
        "host": f"{draw.word(pools.SERVERS)}-{draw.code('00')}",
        "metric": draw.one_of("cpu", "memory", "disk"),
        "percent": draw.whole(70, 100),
        "acknowledged": is_acknowledged,
    }
    return gold, {
        "acknowledged": draw.say(
            is_acknowledged, ["acknowledged", "already acknowledged"], ["not acknowledged", "not yet acknowledged"]
        )
    }


FAMILIES = (
    Family(
        name="meeting",
        difficulty="hard",
        schema=record(
            topic=string(),
            day=enum(*WEEKDAYS),
            start=TIME,
            minutes=integer(5, 240),
            people=array(string()),
        ),
        facts=meeting,
        sentences=(
            "{people} meet on {day} at {start} for {minutes} minutes about the {topic}.",
            "The {topic} meeting is on {day}, {start}, lasts {minutes} minutes and includes {people}.",
            "Please block {minutes} minutes on {day} from {start}: {topic}, with {people}.",
            "On {day} at {start} we talk about the {topic}. Present: {people}. Length: {minutes} minutes.",
            "Invite {people} to the {topic} session, {day} {start}, {minutes} minutes long.",
            "{minutes} minutes should do for the {topic}. Let us say {day}, {start}, and ask {people}.",
        ),
        asides=("Coffee will be served.", "The projector is broken.", "Notes go to the shared folder."),
    ),
    Family(
        name="support_ticket",
        difficulty="medium",
        schema=record(
            ticket=integer(1),
            product=string(),
            priority=enum("low", "normal", "high", "urgent"),
            assignee=nullable(string()),
        ),
        facts=support_ticket,
        sentences=(
            "Ticket {ticket} about {product} has {priority} priority and is {assignee}.",
            "A {priority} ticket for {product}, number {ticket}, is {assignee}.",
            "Number {ticket} in the queue concerns {product}. Priority {priority}, {assignee}.",
            "{product} fails again: see ticket {ticket}, {assignee}, priority {priority}.",
            "Currently {assignee}: ticket {ticket} on {product}, with priority {priority}.",
            "Set ticket {ticket} to {priority}, please. It is about {product} and {assignee}.",
        ),
        asides=("The customer was polite.", "A restart did not help.", "It was filed by phone."),
    ),
    Family(
        name="job_opening",
        difficulty="hard",
        schema=record(
            title=string(),
            city=string(),
            salary=record(min=integer(0), max=integer(0)),
            remote=BOOLEAN,
        ),
        facts=job_opening,
        sentences=(
            "Wanted: {title} in {city}, salary {salary_min} to {salary_max}, {remote}.",
            "We hire a {title} in {city} ({remote}) and pay between {salary_min} and {salary_max}.",
            "The {city} office seeks a {title}: {remote}, from {salary_min} up to {salary_max} a year.",
            "Open position in {city}: {title}. Pay ranges from {salary_min} to {salary_max}; {remote}.",
            "Pay of at least {salary_min} and at most {salary_max} for a {title}, {city}, {remote}.",
            "This job is {remote}. Title: {title}. City: {city}. Salary: {salary_min} - {salary_max}.",
        ),
        asides=("Lunch is free.", "The team has ten members.", "Apply by the end of the month."),
    ),
    Family(
        name="timesheet",
        difficulty="hard",
        schema=record(
            employee=string(),
            entries=array(record(project=string(), hours=number(0, 24)), most=4),
            overtime=BOOLEAN,
        ),
        facts=timesheet,
        sentences=(
            "{employee} worked {entries}, {overtime}.",
            "Timesheet of {employee}: {entries}, {overtime}.",
            "Please book {entries} for {employee}, {overtime}.",
            "This week, {overtime}, {employee} logged {entries}.",
            "The week of {employee} was {overtime}: {entries}.",
            "{employee} reports {entries}. The sheet is {overtime}.",
        ),
        asides=("The office closed early.", "Travel is paid separately.", "The form is due on Friday."),
    ),
    Family(
        name="release",
        difficulty="easy",
        schema=record(
            package=string(),
            version=string("^[0-9]+\\.[0-9]+\\.[0-9]+$"),
            fixes=integer(0),
            breaking=BOOLEAN,
        ),
        facts=release,
        sentences=(
            "Version {version} of {package} brings {fixes} fixes and {breaking}.",
            "We released {package} {version}: {fixes} fixes, {breaking}.",
            "With {fixes} fixes and {breaking}, {package} {version} is out.",
            "The package {package} is now at {version}. Bugs fixed: {fixes}; {breaking}.",
            "The list for {package} {version} shows {breaking} and {fixes} fixes.",
            "Changelog of {package}, {version}: {breaking}, number of fixes {fixes}.",
        ),
        asides=("Thanks to all who helped.", "The old branch gets no updates.", "The manual moved to a new site."),
    ),
    Family(
        name="server_alert",
        difficulty="medium",
        schema=record(
            host=string("^[a-z]+-[0-9]{2}$"),
            metric=enum("cpu", "memory", "disk"),
            percent=integer(0, 100),
            acknowledged=BOOLEAN,
        ),
        facts=server_alert,
        sentences=(
            "Alert on {host}: {metric} at {percent} percent, {acknowledged}.",
            "The {metric} of {host} has reached {percent} %. The alert is {acknowledged}.",
            "Server {host} reports {percent} % {metric} use ({acknowledged}).",
            "It is {acknowledged}: {host}, {metric}, {percent} percent.",
            "{percent} percent {metric} on host {host}; the alert was {acknowledged}.",
            "At night {host} went to {percent} % on {metric}. So far the alert is {acknowledged}.",
        ),
        asides=("The dashboard was slow.", "A backup runs every night.", "Nothing else looks odd."),
    ),
)
