"""Word problems about lengths, areas, volumes and angles."""

from fractions import Fraction
from random import Random

from data.bundled.math.template import Drawn, template


@template(
    difficulty="easy",
    expression="{length} * {width}",
    phrasings=(
        "A garden is {length} m long and {width} m wide. What is its area in square metres?",
        "A rectangular carpet measures {length} m by {width} m. How many square metres does it cover?",
    ),
)
def rectangle_area(random: Random) -> Drawn:
    length, width = random.randint(8, 30), random.choice(("2.5", "3.5", "4", "4.5", "6", "7"))
    return {"length": length, "width": width}, length * Fraction(width)


@template(
    difficulty="easy",
    expression="{perimeter} / 4",
    phrasings=(
        "A square has a perimeter of {perimeter} cm. How many cm long is one side?",
        "{name} bends a wire of {perimeter} cm into a square. What is the side length in cm?",
    ),
)
def square_side(random: Random) -> Drawn:
    side = Fraction(random.randint(7, 90), 2)
    return {"perimeter": int(4 * side)}, side


@template(
    difficulty="medium",
    expression="2 * ({length} + {width})",
    phrasings=(
        "A field is {length} m long and {width} m wide. How many metres of fence go around it?",
        "What is the perimeter, in cm, of a rectangle with sides of {length} cm and {width} cm?",
    ),
)
def rectangle_perimeter(random: Random) -> Drawn:
    length, width = random.randint(12, 95), random.randint(5, 60)
    return {"length": length, "width": width}, length + width + length + width


@template(
    difficulty="medium",
    expression="{perimeter} / 2 - {length}",
    phrasings=(
        "The perimeter of a rectangle is {perimeter} cm, its length {length} cm. How many cm is its width?",
        "{perimeter} m of fence enclose a rectangular yard that is {length} m long. How many metres wide is the yard?",
    ),
)
def missing_width(random: Random) -> Drawn:
    width, length = random.randint(4, 40), random.randint(10, 70)
    return {"perimeter": 2 * (length + width), "length": length}, width


@template(
    difficulty="medium",
    expression="{base} * {height} / 2",
    phrasings=(
        "A triangle has a base of {base} cm and a height of {height} cm. What is its area in square cm?",
        "A triangular sail is {base} m wide at the bottom and {height} m high. What is its area in square metres?",
    ),
)
def triangle_area(random: Random) -> Drawn:
    base, height = random.randint(5, 30), random.randint(4, 25)
    return {"base": base, "height": height}, Fraction(base * height, 2)


@template(
    difficulty="medium",
    expression="180 - {first} - {second}",
    phrasings=(
        "Two angles of a triangle are {first} and {second} degrees. How many degrees is the third?",
        "A triangle has angles of {first} and {second} degrees. Find its third angle in degrees.",
    ),
)
def third_angle(random: Random) -> Drawn:
    third, first = random.randint(20, 90), random.randint(25, 70)
    return {"first": first, "second": 180 - third - first}, third


@template(
    difficulty="medium",
    expression="{length} * {width} * {height}",
    phrasings=(
        "A box is {length} cm long, {width} cm wide and {height} cm high. What is its volume in cubic cm?",
        "How many cubes of 1 cubic cm fit into a box of {length} cm by {width} cm by {height} cm?",
    ),
)
def box_volume(random: Random) -> Drawn:
    length, width, height = random.randint(5, 20), random.randint(4, 15), random.randint(3, 12)
    return {"length": length, "width": width, "height": height}, sum([length * width] * height)


@template(
    difficulty="medium",
    expression="{length} * {width} - {hole} * {hole}",
    phrasings=(
        "A lawn of {length} m by {width} m has a square pond with sides of {hole} m in it. "
        "How many square metres of grass are there?",
        "From a sheet of {length} cm by {width} cm {name} cuts a square of {hole} cm. "
        "How many square cm are left of the sheet?",
    ),
)
def area_with_hole(random: Random) -> Drawn:
    hole, length, width = random.randint(2, 6), random.randint(10, 25), random.randint(8, 18)
    return {"length": length, "width": width, "hole": hole}, length * (width - hole) + (length - hole) * hole


@template(
    difficulty="medium",
    expression="{centimetres} * {scale} / 100",
    phrasings=(
        "On a map with the scale 1:{scale} a path is {centimetres} cm long. How many metres is it in reality?",
        "A plan has the scale 1:{scale}. {name} measures {centimetres} cm. How many metres is that in reality?",
    ),
)
def map_scale(random: Random) -> Drawn:
    centimetres, metres = random.randint(3, 28), random.choice((2, 5, 10, 20, 50, 250))
    return {"centimetres": centimetres, "scale": metres * 100}, centimetres * metres


@template(
    difficulty="hard",
    expression="({length} + 2 * {path}) * ({width} + 2 * {path}) - {length} * {width}",
    phrasings=(
        "A pool of {length} m by {width} m is surrounded by a path {path} m wide. "
        "What is the area of the path in square metres?",
        "A picture of {length} cm by {width} cm has a frame {path} cm wide all around. "
        "How many square cm does the frame cover?",
    ),
)
def path_area(random: Random) -> Drawn:
    length, width, path = random.randint(8, 25), random.randint(5, 15), random.randint(2, 4)
    return {"length": length, "width": width, "path": path}, 2 * path * (length + width) + 4 * path * path


@template(
    difficulty="hard",
    expression="({length} * 100 / {tile}) * ({width} * 100 / {tile})",
    phrasings=(
        "A floor of {length} m by {width} m is laid with square tiles of {tile} cm. How many tiles are needed?",
        "{name} tiles a terrace of {length} m by {width} m with square slabs, {tile} cm on each side. "
        "How many slabs does {name} need?",
    ),
)
def tiles(random: Random) -> Drawn:
    tile, length, width = random.choice((20, 25, 50)), random.randint(3, 9), random.randint(2, 7)
    return {"tile": tile, "length": length, "width": width}, length * width * (100 // tile) ** 2


@template(
    difficulty="medium",
    expression="({bottom} + {top}) * {height} / 2",
    phrasings=(
        "A trapezoid has parallel sides of {bottom} cm and {top} cm and a height of {height} cm. "
        "What is its area in square cm?",
        "A dam is {top} m wide at the top, {bottom} m at the bottom and {height} m high. "
        "What is the area of its cross-section in square metres?",
    ),
)
def trapezoid_area(random: Random) -> Drawn:
    top, more, height = random.randint(3, 14), random.randint(2, 12), random.randint(3, 12)
    return {"top": top, "bottom": top + more, "height": height}, top * height + Fraction(more * height, 2)


@template(
    difficulty="hard",
    expression="2 * ({length} * {width} + {width} * {height} + {length} * {height})",
    phrasings=(
        "A closed box is {length} cm long, {width} cm wide and {height} cm high. What is its surface in square cm?",
        "{name} paints all six sides of a chest of {length} dm by {width} dm by {height} dm. "
        "How many square dm are painted?",
    ),
)
def box_surface(random: Random) -> Drawn:
    length, width, height = random.randint(4, 15), random.randint(3, 12), random.randint(2, 10)
    around = 2 * (length + width)
    return {"length": length, "width": width, "height": height}, around * height + 2 * length * width


TEMPLATES = (
    rectangle_area,
    square_side,
    rectangle_perimeter,
    missing_width,
    triangle_area,
    third_angle,
    box_volume,
    area_with_hole,
    map_scale,
    path_area,
    tiles,
    trapezoid_area,
    box_surface,
)
