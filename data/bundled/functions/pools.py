"""Open vocabulary beyond that of the extraction tasks; every third entry is reserved for held-out, see ``Draw``."""

ROOMS = (
    "living room", "kitchen", "bedroom", "bathroom", "hall", "nursery",
    "attic", "cellar", "guest room", "garage", "dining room", "library",
)  # fmt: skip
MACHINES = (
    "dishwasher", "washing machine", "dryer", "robot vacuum", "coffee machine", "bread maker",
    "oven", "rice cooker", "steamer",
)  # fmt: skip
ERRANDS = (
    "water the plants", "call the plumber", "renew the library card", "pick up the suit", "pay the electricity bill",
    "feed the neighbour's cat", "book the dentist", "wash the car", "return the drill", "buy a birthday card",
    "charge the camera", "back up the laptop",
)  # fmt: skip
NOTES = (
    "rent for May", "concert tickets", "dinner on Friday", "birthday present", "gas bill", "piano lesson",
    "football fees", "train fare", "new tyres", "shared groceries", "garden tools", "ski trip",
)  # fmt: skip
MESSAGES = (
    "The lift is out of order today.", "Lunch is at noon.", "Please bring your badge.",
    "The parking lot is closed.", "The draft is ready for review.", "We start ten minutes later.",
    "The printer has new toner.", "Thank you for the quick help.", "The window cleaner comes tomorrow.",
    "Please fill in the time sheet.", "The keys are at the front desk.", "The demo went very well.",
)  # fmt: skip
EVENTS = (
    "yoga class", "parents' evening", "team lunch", "choir practice", "budget review", "chess club",
    "dentist", "job interview", "house viewing", "book club", "design workshop", "piano recital",
)  # fmt: skip
