"""English plurals: the singular of a noun, by a few rules and a list of what they would get wrong."""

# Nouns that end in "s" and are singular, or have no other form.
_KEPT = frozenset(
    {"alias", "arms", "atlas", "bias", "canvas", "chaos", "christmas", "clothes"}
    | {"cosmos", "crossroads", "customs", "debris", "ethos", "gas", "glasses", "goods"}
    | {"headquarters", "jeans", "kudos", "lens", "means", "mess", "news", "overseas"}
    | {"pajamas", "pancreas", "pants", "proceeds", "remains", "rhinoceros", "savings", "scissors"}
    | {"series", "shorts", "species", "sunglasses", "texas", "thanks", "tongs", "trousers"}
    | {"winnings", "works", "yes", "hours"}
)
_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "teeth": "tooth",
    "feet": "foot",
    "geese": "goose",
    "criteria": "criterion",
    "phenomena": "phenomenon",
    "axes": "axis",
    "gases": "gas",
    "lenses": "lens",
    "canvases": "canvas",
    "aliases": "alias",
    "atlases": "atlas",
    "biases": "bias",
    "quizzes": "quiz",
    "uses": "use",
    "excuses": "excuse",
    "fuses": "fuse",
    "muses": "muse",
    "knives": "knife",
    "lives": "life",
    "wives": "wife",
    "leaves": "leaf",
    "loaves": "loaf",
    "shelves": "shelf",
    "wolves": "wolf",
    "halves": "half",
    "thieves": "thief",
    "calves": "calf",
    # Greek: "-esis", "-ysis", "-osis"
    "crises": "crisis",
    "oases": "oasis",
    "theses": "thesis",
    "hypotheses": "hypothesis",
    "parentheses": "parenthesis",
    "prostheses": "prosthesis",
    "syntheses": "synthesis",
    "analyses": "analysis",
    "catalyses": "catalysis",
    "paralyses": "paralysis",
    "diagnoses": "diagnosis",
    "prognoses": "prognosis",
    "neuroses": "neurosis",
    "psychoses": "psychosis",
    "metastases": "metastasis",
    # "-ie", "-oe", "-che"
    "movies": "movie",
    "cookies": "cookie",
    "calories": "calorie",
    "zombies": "zombie",
    "selfies": "selfie",
    "pies": "pie",
    "ties": "tie",
    "shoes": "shoe",
    "toes": "toe",
    "foes": "foe",
    "canoes": "canoe",
    "caches": "cache",
    "aches": "ache",
    "headaches": "headache",
    "toothaches": "toothache",
    "niches": "niche",
    "axises": "axis",
}
_SINGULAR_ENDINGS = ("ss", "us", "is", "ics")
_LEAST = 4  # letters: "gas", "bus", "us" are no plurals
_ADDED_ES = ("sses", "shes", "ches", "xes", "zzes", "oes")
_ADDED_S = ("ouses", "auses")  # houses, causes; other words in "-uses" have "-us": viruses, statuses


def singular(noun: str) -> str:
    """Return the singular of a noun in lower case; a noun that is no plural comes back as it is."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if len(noun) < _LEAST or not noun.endswith("s") or noun in _KEPT or noun.endswith(_SINGULAR_ENDINGS):
        return noun
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    if noun.endswith(_ADDED_ES) or (noun.endswith("uses") and not noun.endswith(_ADDED_S)):
        return noun[:-2]
    return noun[:-1]
