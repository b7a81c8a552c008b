"""Words of the generated shop: departments, categories, brands, product lines, colours.

All names are invented. The order of the categories inside a department is the journey that a
shopper tends to make: what is looked at first, what is bought to go with it, small accessories.
"""

from __future__ import annotations

from typing import NamedTuple


class CategoryWords(NamedTuple):
    """One category: name, noun of its products, sizes or kinds, typical price, variants."""

    name: str
    noun: str
    specs: tuple[str, ...]
    price: float
    variants: tuple[str, ...]


class DepartmentWords(NamedTuple):
    """One department: its name and its categories in the order of the journey."""

    name: str
    categories: tuple[CategoryWords, ...]


class BrandWords(NamedTuple):
    """One brand: name, price tier (0 budget, 1 middle, 2 premium), departments it sells in."""

    name: str
    tier: int
    departments: frozenset[str]


COLOURS = (
    *("moss green", "slate grey", "black", "navy", "rust orange", "sand"),
    *("sky blue", "burgundy", "forest green", "charcoal", "mustard", "teal"),
)
METALS = ("silver", "black", "gunmetal", "anodised red", "anodised blue", "orange")
TYRES = ("black", "tan sidewall", "brown sidewall", "black reflective", "grey")
FLAVOURS = ("lemon", "berry", "cola", "salted caramel", "orange", "apple", "neutral", "espresso")


def _c(
    name: str, noun: str, specs: str, price: float, variants: tuple[str, ...] = COLOURS
) -> CategoryWords:
    return CategoryWords(name, noun, tuple(specs.split("|")), price, variants)


DEPARTMENTS: tuple[DepartmentWords, ...] = (
    DepartmentWords(
        "Camping",
        (
            _c("Tents", "Tent", "1-Person|2-Person|3-Person|4-Person", 190),
            _c("Sleeping Bags", "Sleeping Bag", "Summer|3-Season|Winter|Down", 120),
            _c("Sleeping Mats", "Sleeping Mat", "Foam|Self-Inflating|Insulated|Wide", 60),
            _c("Camping Stoves", "Camping Stove", "Gas|Multi-Fuel|Alcohol|Two-Burner", 65, METALS),
            _c("Cookware", "Cook Set", "Solo|2-Person|Family|Titanium", 38, METALS),
            _c("Lanterns", "Lantern", "Mini|LED|Rechargeable|Gas", 28),
            _c("Camp Furniture", "Camp Chair", "Folding|Low|Reclining|Double", 45),
            _c("Tent Accessories", "Tent Peg Set", "Steel|Alloy|Sand|Titanium", 14, METALS),
        ),
    ),
    DepartmentWords(
        "Hiking",
        (
            _c("Hiking Boots", "Hiking Boot", "Low|Mid|High|Winter", 140),
            _c("Hiking Backpacks", "Hiking Backpack", "20L|30L|40L|65L", 110),
            _c("Rain Jackets", "Rain Jacket", "Light|2.5-Layer|3-Layer|Women's|Men's", 135),
            _c("Hiking Trousers", "Hiking Trousers", "Stretch|Zip-Off|Women's|Men's", 75),
            _c("Fleece", "Fleece Jacket", "Light|Hooded|Women's|Men's", 70),
            _c("Trekking Poles", "Trekking Poles", "Alloy|Folding|Carbon|Cork-Grip", 62, METALS),
            _c("Hiking Socks", "Hiking Socks", "Crew|Merino|Double-Layer|3-Pack", 18),
            _c("Water Bottles", "Water Bottle", "0.5L|0.75L|1L|Insulated", 22),
        ),
    ),
    DepartmentWords(
        "Climbing",
        (
            _c("Climbing Shoes", "Climbing Shoe", "Entry|Velcro|Lace-Up|Slipper", 105),
            _c("Harnesses", "Climbing Harness", "Gym|Sport|Alpine|Women's", 68),
            _c("Ropes", "Climbing Rope", "9.2 mm 60 m|9.5 mm 70 m|9.8 mm 60 m|8.5 mm Half", 150),
            _c("Helmets", "Climbing Helmet", "Hardshell|Foam|Hybrid|Kids'", 70),
            _c("Quickdraws", "Quickdraw Set", "6-Pack|8-Pack|Alpine|Light", 90, METALS),
            _c("Belay Devices", "Belay Device", "Tube|Assisted|Guide|Gym", 48, METALS),
            _c("Carabiners", "Carabiner", "Screw-Gate|Auto-Lock|HMS|Wire-Gate", 15, METALS),
            _c("Chalk", "Chalk Bag", "Slim|Bucket|Zip|Boulder", 20),
        ),
    ),
    DepartmentWords(
        "Cycling",
        (
            _c("Bikes", "Bike", "Gravel|Road|Hardtail|City", 980),
            _c("Bike Helmets", "Bike Helmet", "Road|Trail|City|Aero", 75),
            _c("Bike Lights", "Bike Light Set", "400 lm|700 lm|1000 lm|Commuter", 48),
            _c("Bike Locks", "Bike Lock", "Folding|Chain|U-Lock|Cable", 46, METALS),
            _c("Cycling Shorts", "Cycling Shorts", "Bib|Padded|Trail|Women's", 64),
            _c("Tyres", "Bike Tyre", "28 mm|32 mm|40 mm|2.25 in", 36, TYRES),
            _c("Bike Bags", "Bike Bag", "Saddle|Frame|Handlebar|Pannier", 52),
            _c("Pumps and Tools", "Bike Tool", "Mini-Pump|Multi|Floor-Pump|Repair Kit", 24, METALS),
        ),
    ),
    DepartmentWords(
        "Running",
        (
            _c("Running Shoes", "Running Shoe", "Road|Trail|Cushioned|Race", 125),
            _c("Running Shorts", "Running Shorts", "5 in|7 in|2-in-1|Women's", 36),
            _c("Running Shirts", "Running Shirt", "Short-Sleeve|Long-Sleeve|Women's|Men's", 32),
            _c("Running Jackets", "Running Jacket", "Wind|Rain|Reflective|Hybrid", 84),
            _c("Sports Watches", "GPS Watch", "Core|Plus|Multisport|Solar", 240),
            _c("Running Vests", "Running Vest", "3L|5L|8L|12L", 88),
            _c("Running Socks", "Running Socks", "Ankle|Crew|Compression|3-Pack", 16),
            _c("Sports Nutrition", "Energy Gels", "6-Pack|12-Pack|Caffeine|Isotonic", 19, FLAVOURS),
        ),
    ),
    DepartmentWords(
        "Winter Sports",
        (
            _c("Skis", "Ski", "All-Mountain|Piste|Touring|Freeride", 430),
            _c("Ski Boots", "Ski Boot", "90 Flex|100 Flex|110 Flex|Touring", 290),
            _c("Ski Jackets", "Ski Jacket", "Insulated|Shell|Women's|Men's", 230),
            _c("Ski Trousers", "Ski Trousers", "Insulated|Shell|Bib|Women's", 150),
            _c("Ski Helmets", "Ski Helmet", "Visor|Freeride|Light|Kids'", 105),
            _c("Goggles", "Ski Goggles", "Clear|Mirror|Photochromic|OTG", 82),
            _c("Gloves", "Ski Gloves", "Thin|Insulated|Mitten|Heated", 55),
            _c("Base Layers", "Base Layer", "Top|Leggings|Merino|Set", 48),
        ),
    ),
    DepartmentWords(
        "Water Sports",
        (
            _c("Paddle Boards", "Paddle Board", "10'6 All-Round|11'6|9'8 Kids'|12'6 Race", 420),
            _c("Wetsuits", "Wetsuit", "2 mm|3/2 mm|4/3 mm|Shorty", 145),
            _c("Buoyancy Aids", "Buoyancy Aid", "50N|70N|Inflatable|Kids'", 74),
            _c("Paddles", "Paddle", "Alloy|3-Piece|Carbon|Kayak", 92),
            _c("Dry Bags", "Dry Bag", "5L|10L|20L|40L", 24),
            _c("Water Shoes", "Water Shoe", "Low|Ankle|Reef|Kids'", 34),
            _c("Swim Goggles", "Swim Goggles", "Fitness|Race|Open-Water|Mirror", 21),
            _c("Towels", "Travel Towel", "S|M|L|XL", 17),
        ),
    ),
)

# Interests that lead out of a department: (from, to), by category name.
BRIDGES: tuple[tuple[str, str], ...] = (
    ("Tents", "Hiking Backpacks"),
    ("Sleeping Bags", "Hiking Backpacks"),
    ("Lanterns", "Water Bottles"),
    ("Hiking Backpacks", "Tents"),
    ("Fleece", "Base Layers"),
    ("Hiking Boots", "Running Shoes"),
    ("Climbing Shoes", "Hiking Boots"),
    ("Ropes", "Trekking Poles"),
    ("Cycling Shorts", "Sports Watches"),
    ("Bike Bags", "Dry Bags"),
    ("Running Vests", "Water Bottles"),
    ("Running Shoes", "Hiking Socks"),
    ("Sports Watches", "Bike Lights"),
    ("Ski Jackets", "Fleece"),
    ("Gloves", "Hiking Socks"),
    ("Wetsuits", "Towels"),
    ("Towels", "Water Bottles"),
    ("Rain Jackets", "Running Jackets"),
)

_ALL = frozenset(department.name for department in DEPARTMENTS)
_MOUNTAIN = frozenset({"Camping", "Hiking", "Climbing", "Winter Sports"})
_MOVING = frozenset({"Cycling", "Running"})
_OUTSIDE = frozenset({"Camping", "Hiking", "Water Sports"})

BRANDS: tuple[BrandWords, ...] = (
    BrandWords("Basecove", 0, _ALL),
    BrandWords("Northmoor", 1, _ALL),
    BrandWords("Hollin", 0, _ALL),
    BrandWords("Fjellvik", 2, _MOUNTAIN),
    BrandWords("Tarnstone", 1, _MOUNTAIN),
    BrandWords("Kivra", 2, _MOUNTAIN),
    BrandWords("Larkfell", 1, _OUTSIDE),
    BrandWords("Wildmere", 0, _OUTSIDE),
    BrandWords("Osprel", 2, _OUTSIDE),
    BrandWords("Veltrek", 1, _MOVING | {"Hiking"}),
    BrandWords("Cadenza", 2, _MOVING),
    BrandWords("Strideon", 1, _MOVING),
    BrandWords("Quickfell", 0, _MOVING),
    BrandWords("Arrowline", 2, frozenset({"Cycling", "Winter Sports"})),
    BrandWords("Gritstone", 1, frozenset({"Climbing"})),
    BrandWords("Belaya", 2, frozenset({"Climbing"})),
    BrandWords("Frostell", 1, frozenset({"Winter Sports"})),
    BrandWords("Pistara", 0, frozenset({"Winter Sports"})),
    BrandWords("Riverkin", 1, frozenset({"Water Sports"})),
    BrandWords("Tidewell", 2, frozenset({"Water Sports"})),
    BrandWords("Marlo", 0, frozenset({"Water Sports", "Running"})),
)

_LINES = (
    "Trailhead Kestrel Summit Ridge Drift Aurora Boreal Cascade Delta Echo Falcon Glacier Harrier "
    "Ibex Juniper Kodiak Lynx Meridian Nimbus Orbit Pinnacle Quartz Rambler Scout Tundra Vista "
    "Wander Zephyr Alder Birch Cirrus Dune Ember Fern Granite Heron Inlet Lagoon Marten Nomad "
    "Otter Pioneer Raven Sierra Talus Umbra Vantage Willow Yarrow Basalt"
)
LINES: tuple[str, ...] = tuple(_LINES.split())

DEVICES: tuple[tuple[str, float], ...] = (("mobile", 0.58), ("desktop", 0.34), ("tablet", 0.08))

# Share of the visitors and hours that the clock is ahead of UTC.
COUNTRIES: tuple[tuple[str, float, int], ...] = (
    ("DE", 0.34, 1),
    ("GB", 0.18, 0),
    ("FR", 0.14, 1),
    ("NL", 0.09, 1),
    ("SE", 0.08, 1),
    ("FI", 0.06, 2),
    ("US", 0.11, -5),
)
