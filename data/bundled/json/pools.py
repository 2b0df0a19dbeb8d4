"""Open vocabulary. Every third entry is reserved for held-out tasks (see draw.py), so pools are multiples of three."""

FIRST_NAMES = (
    "Ana", "Ben", "Carla", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Luca",
    "Maya", "Nadia", "Omar", "Paula", "Quinn", "Rosa", "Samir", "Tara", "Umar", "Vera", "Wim", "Yuki",
)  # fmt: skip
SURNAMES = (
    "Adler", "Brown", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Hall", "Ito", "Jensen", "Klein", "Lopez",
    "Meyer", "Novak", "Olsen", "Park", "Rossi", "Silva", "Tanaka", "Varga", "Weber", "Young", "Zeman", "Keller",
)  # fmt: skip
CITIES = (
    "Lisbon", "Oslo", "Vienna", "Madrid", "Prague", "Dublin", "Athens", "Geneva", "Warsaw", "Boston", "Cairo", "Tokyo",
    "Lima", "Toronto", "Helsinki", "Milan", "Seoul", "Porto", "Denver", "Riga", "Zagreb", "Naples", "Lyon", "Bergen",
)  # fmt: skip
CARS = (
    "Fiat 500", "Opel Corsa", "Ford Focus", "Toyota Yaris", "Skoda Fabia", "Volvo V60",
    "Kia Picanto", "Honda Jazz", "Seat Ibiza", "Mini Cooper", "Renault Clio", "Mazda 3",
)  # fmt: skip
PICKUP_PLACES = (
    "airport", "main station", "harbour", "city centre", "west terminal", "old market",
    "trade fair", "bus depot", "university", "north gate", "stadium", "hotel lobby",
)  # fmt: skip
PORTS = ("Calais", "Dover", "Tallinn", "Ostend", "Kiel", "Patras", "Bari", "Ystad", "Palermo")
SHIPS = ("Aurora", "Sea Star", "Nordlys", "Albatross", "Blue Wave", "Stella", "Neptune", "Poseidon", "Marina")
SIGHTS = (
    "the castle", "the cathedral", "the old bridge", "the town hall", "the fish market", "the opera",
    "the clock tower", "the city wall", "the botanical garden", "the harbour", "the mint", "the university",
)  # fmt: skip
COMPANIES = (
    "Acorn Media", "Bluebird Ltd", "Cedar Foods", "Delta Print", "Everest Tools", "Fjord Design",
    "Granite Works", "Harbor Labs", "Iris Optics", "Juniper Books", "Kite Sports", "Lumen Energy",
)  # fmt: skip
GOODS = (
    "lamp", "desk", "chair", "kettle", "backpack", "tent", "radio", "clock", "mirror",
    "blanket", "toaster", "scooter", "helmet", "camera", "printer", "guitar", "heater", "carpet",
)  # fmt: skip
COLORS = ("red", "blue", "green", "black", "white", "orange", "grey", "yellow", "purple")
TOPICS = (
    "budget", "hiring plan", "website launch", "security review", "team offsite", "customer survey",
    "roadmap", "pricing", "data migration", "holiday rota", "office move", "training week",
)  # fmt: skip
SOFTWARE = (
    "PhotoDesk", "MailBox", "RouteMap", "CashFlow", "NoteKeeper", "SafeDrive",
    "ChatRoom", "TaskBoard", "ScanPro", "FormBuilder", "VideoCall", "CloudDisk",
)  # fmt: skip
JOBS = (
    "data analyst", "nurse", "electrician", "web developer", "accountant", "truck driver",
    "chef", "teacher", "lab technician", "gardener", "translator", "welder",
)  # fmt: skip
PROJECTS = (
    "Atlas",
    "Beacon",
    "Comet",
    "Dune",
    "Ember",
    "Falcon",
    "Glacier",
    "Horizon",
    "Island",
    "Jade",
    "Krypton",
    "Lotus",
)
PACKAGES = (
    "fastgrid", "tinylog", "webform", "pixelkit", "datapipe", "quickmail",
    "geotools", "mathbox", "netwatch", "textmill", "colorlab", "timeline",
)  # fmt: skip
SERVERS = ("web", "db", "mail", "cache", "backup", "proxy", "queue", "build", "files")
INGREDIENTS = (
    "onions", "potatoes", "carrots", "rice", "noodles", "mushrooms", "lentils", "chicken", "spinach",
    "tomatoes", "beans", "salmon", "peppers", "tofu", "pumpkin", "eggs", "cabbage", "leeks",
)  # fmt: skip
DRY_GOODS = ("flour", "sugar", "rice", "oats", "cocoa", "lentils", "salt", "yeast", "polenta")
LIQUIDS = ("milk", "cream", "juice", "vinegar", "olive oil", "syrup", "soy sauce", "broth", "buttermilk")
COUNTED_FOODS = ("eggs", "lemons", "apples", "onions", "bananas", "limes", "rolls", "pears", "avocados")
PLANTS = (
    "fern", "cactus", "orchid", "ivy", "basil", "palm", "aloe", "rosemary", "begonia",
    "jasmine", "mint", "ficus",
)  # fmt: skip
APPLIANCES = (
    "dishwasher", "oven", "fridge", "washing machine", "dryer", "freezer",
    "coffee machine", "boiler", "microwave", "vacuum cleaner", "air conditioner", "stove",
)  # fmt: skip
FAULTS = (
    "leaks", "does not start", "makes a loud noise", "smells of smoke", "stops halfway", "does not heat",
    "blinks red", "trips the fuse", "does not drain",
)  # fmt: skip
STREETS = (
    "Elm Lane", "Mill Road", "Rose Street", "Park Avenue", "Station Road", "Hill Street",
    "Church Lane", "River Walk", "Garden Street", "Oak Drive", "Bridge Street", "King Street",
)  # fmt: skip
LOST_THINGS = (
    "umbrella", "wallet", "scarf", "phone", "suitcase", "watch", "jacket", "laptop bag", "ring",
    "notebook", "water bottle", "pair of gloves",
)  # fmt: skip
FINDING_PLACES = (
    "platform 4", "bus 27", "the cinema", "the waiting room", "tram 9", "the swimming pool",
    "the reading room", "the canteen", "gate C3", "the car park", "the playground", "the ticket hall",
)  # fmt: skip
BOOKS = (
    "The Silent Valley", "Salt and Stone", "A Winter Harbor", "Nine Lanterns", "The Glass Orchard", "Paper Boats",
    "North of Summer", "The Clockmaker", "Under Red Hills", "Small Tides", "The Last Ferry", "Field Notes",
)  # fmt: skip
TEAMS = (
    "Rovers", "United", "Wanderers", "Eagles", "Harriers", "Lions", "Tigers", "Comets", "Falcons",
    "Rangers", "Sharks", "Bears",
)  # fmt: skip
BANDS = (
    "Velvet Static", "The Night Trams", "Paper Moon", "Iron Daisy", "Low Tide", "Echo Park Six",
    "Cold Lemon", "The Tall Ships", "Golden Hour", "Static Bloom", "Red Kites", "Moon Harbor",
)  # fmt: skip
VENUES = (
    "City Hall", "The Barn", "Club Nova", "Palace Theatre", "The Cellar", "Arena West",
    "Harbor Stage", "The Old Mill", "Studio Nine", "Garden Pavilion", "The Lantern", "Dome East",
)  # fmt: skip
PAINTINGS = (
    "Blue Morning", "The Ferryman", "Still Life with Pears", "Two Sisters", "Harvest Moon", "The Red Door",
    "Winter Road", "Dancer at Rest", "The Cellist", "Evening Tide", "Stone Bridge", "The Letter",
)  # fmt: skip
