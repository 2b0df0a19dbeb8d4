"""Families about kitchen, house and garden."""

from data.bundled.json import pools
from data.bundled.json.draw import Draw
from data.bundled.json.family import Facts, Family, listed
from data.bundled.json.schemas import BOOLEAN, array, enum, integer, nullable, number, record, string

LIGHT = {"sun": "full sun", "half_shade": "half shade", "shade": "shade"}


def recipe_step(draw: Draw) -> Facts:
    action = draw.one_of("bake", "boil", "fry", "steam")
    celsius = draw.whole(140, 230, 5) if action == "bake" else None
    gold = {
        "step": draw.whole(1, 9),
        "action": action,
        "ingredient": draw.word(pools.INGREDIENTS),
        "minutes": draw.whole(3, 55),
        "celsius": celsius,
    }
    return gold, {
        "celsius": f"at {celsius} degrees" if celsius else draw.one_of("at no set temperature", "without a thermometer")
    }


def shopping_list(draw: Draw) -> Facts:
    items = draw.random.sample(
        [
            {"item": draw.word(pools.DRY_GOODS), "amount": draw.whole(100, 900, 50), "unit": "g"},
            {"item": draw.word(pools.LIQUIDS), "amount": draw.whole(100, 900, 50), "unit": "ml"},
            {"item": draw.word(pools.COUNTED_FOODS), "amount": draw.whole(2, 12), "unit": "pcs"},
        ],
        2,
    )
    spoken = [
        f"{item['amount']} {item['item']}"
        if item["unit"] == "pcs"
        else f"{item['amount']} {item['unit']} of {item['item']}"
        for item in items
    ]
    return {"items": items}, {"items": listed(spoken)}


def plant_care(draw: Draw) -> Facts:
    light = draw.one_of(*LIGHT)
    gold = {
        "plant": draw.word(pools.PLANTS),
        "water_ml": draw.whole(50, 800, 50),
        "every_days": draw.whole(2, 21),
        "light": light,
    }
    return gold, {"light": LIGHT[light]}


def repair(draw: Draw) -> Facts:
    cost = draw.decimal(20, 300, 2) if draw.chance() else None
    has_warranty = draw.chance()
    gold = {
        "appliance": draw.word(pools.APPLIANCES),
        "fault": draw.word(pools.FAULTS),
        "warranty": has_warranty,
        "cost": cost,
    }
    return gold, {
        "warranty": draw.say(
            has_warranty, ["under warranty", "still under warranty"], ["out of warranty", "no longer under warranty"]
        ),
        "cost": f"the cost is {cost}" if cost else draw.one_of("the cost is not known yet", "no cost was given"),
    }


def flat_rental(draw: Draw) -> Facts:
    pets_allowed = draw.chance()
    gold = {
        "address": {"street": draw.word(pools.STREETS), "number": draw.whole(1, 140)},
        "rooms": draw.one_of(1.5, 2, 2.5, 3, 3.5, 4),
        "rent": draw.whole(450, 1900, 10),
        "pets": pets_allowed,
    }
    return gold, {"pets": draw.say(pets_allowed, ["pets allowed", "pets are welcome"], ["no pets", "pets not allowed"])}


FAMILIES = (
    Family(
        name="recipe_step",
        difficulty="medium",
        schema=record(
            step=integer(1),
            action=enum("bake", "boil", "fry", "steam"),
            ingredient=string(),
            minutes=integer(1),
            celsius=nullable(integer(50, 280)),
        ),
        facts=recipe_step,
        sentences=(
            "Step {step}: {action} the {ingredient} for {minutes} minutes {celsius}.",
            "In step {step} you {action} the {ingredient} {celsius}, for {minutes} minutes.",
            "Now {action} the {ingredient} {celsius}. This is step {step} and takes {minutes} minutes.",
            "For {minutes} minutes, {action} the {ingredient} {celsius} (step {step}).",
            "Step number {step} takes {minutes} minutes: {action} the {ingredient} {celsius}.",
            "You {action} the {ingredient} {celsius}, {minutes} minutes in all. That was step {step}.",
        ),
        asides=("Serves four people.", "Grandmother wrote this down.", "Keep the lid at hand."),
    ),
    Family(
        name="shopping_list",
        difficulty="hard",
        schema=record(
            items=array(record(item=string(), amount=integer(1), unit=enum("g", "ml", "pcs")), most=5),
        ),
        facts=shopping_list,
        sentences=(
            "Please buy {items}.",
            "We still need {items} for the cake.",
            "On my list: {items}.",
            "Could you bring {items} from the shop?",
            "The recipe asks for {items}.",
            "Do not forget {items}, please.",
            "There is nothing left in the pantry, so get {items}.",
        ),
        asides=("The shop closes at 8.", "I have the bags.", "Bread is already here."),
    ),
    Family(
        name="plant_care",
        difficulty="easy",
        schema=record(plant=string(), water_ml=integer(1), every_days=integer(1), light=enum(*LIGHT)),
        facts=plant_care,
        sentences=(
            "Give the {plant} {water_ml} ml of water every {every_days} days and keep it in {light}.",
            "The {plant} likes {light} and needs {water_ml} ml every {every_days} days.",
            "Every {every_days} days the {plant} gets {water_ml} ml of water. Place: {light}.",
            "Keep the {plant} in {light}. Water: {water_ml} ml each {every_days} days.",
            "In {light} stands the {plant}; it drinks {water_ml} ml, once in {every_days} days.",
            "With {water_ml} ml every {every_days} days and {light}, the {plant} will do well.",
        ),
        asides=("The pot is new.", "The neighbours have a key.", "It was a birthday present."),
    ),
    Family(
        name="repair",
        difficulty="medium",
        schema=record(appliance=string(), fault=string(), warranty=BOOLEAN, cost=nullable(number(0))),
        facts=repair,
        sentences=(
            "The {appliance} {fault}. It is {warranty} and {cost}.",
            "Our {appliance} {fault}; it is {warranty}, {cost}.",
            "The customer says the {appliance} {fault}. The device is {warranty}; {cost}.",
            "Please repair the {appliance}, which {fault}. It is {warranty}, and {cost}.",
            "It is {warranty}: the {appliance} that {fault}. As for money, {cost}.",
            "Since yesterday the {appliance} {fault}, wrote the tenant; it is {warranty} and {cost}.",
        ),
        asides=("The technician comes at noon.", "Ring the bell twice.", "It stands in the cellar."),
    ),
    Family(
        name="flat_rental",
        difficulty="hard",
        schema=record(
            address=record(street=string(), number=integer(1)),
            rooms=number(1),
            rent=integer(0),
            pets=BOOLEAN,
        ),
        facts=flat_rental,
        sentences=(
            "For rent at {address_number} {address_street}: {rooms} rooms, {rent} a month, {pets}.",
            "A flat with {rooms} rooms at {address_number} {address_street} costs {rent} a month, {pets}.",
            "The flat in {address_street} (house number {address_number}) has {rooms} rooms; rent {rent}, {pets}.",
            "Rent {rent}, {rooms} rooms, {pets}: visit us at {address_number} {address_street}.",
            "With {rooms} rooms and {pets}, {address_number} {address_street} is let for {rent}.",
            "The landlord asks {rent} a month. Rooms: {rooms}. At {address_street}, number {address_number}; {pets}.",
        ),
        asides=("The lift is new.", "There is a bus stop in front.", "The cellar is dry."),
    ),
)
