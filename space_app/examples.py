"""Example requests, one a domain; the sentences are written for this page and come from no data set."""

from typing import NamedTuple


class Example(NamedTuple):
    """A text and the types to look for in it, as the page's fields hold them."""

    domain: str
    text: str
    types: str


EXAMPLES = (
    Example(
        "News",
        "On Tuesday the mayor of Lisbon, Helena Duarte, showed engineers from Airbus the old shipyard where "
        "the company wants to open a research centre in 2027.",
        "person, organization, city, date",
    ),
    Example(
        "Medicine",
        "After a week of amoxicillin the patient's pneumonia had cleared, but she came back to Dr. Okafor at "
        "St. Luke's Hospital with a rash and a fever.",
        "disease, medication, symptom, person, hospital",
    ),
    Example(
        "Law",
        "The Federal Court of Justice in Karlsruhe held that Nordwind GmbH had breached Article 17 of the "
        "General Data Protection Regulation and fined it 40,000 euros.",
        "court, company, law, city, amount of money",
    ),
    Example(
        "Astronomy",
        "Using the James Webb Space Telescope, a team at Leiden University found water vapour in the "
        "atmosphere of a planet that circles the red dwarf Gliese 486.",
        "telescope, university, star, chemical substance",
    ),
    Example(
        "Software",
        "The crash appears when pandas 2.2 reads a Parquet file written by Apache Spark on Windows 11; with "
        "Python 3.12 on Ubuntu it is gone.",
        "software, programming language, operating system, file format",
    ),
    Example(
        "Music",
        "Nina Simone opened the evening at Carnegie Hall with Mississippi Goddam and closed it, alone at the "
        "piano, with a prelude by Bach.",
        "musician, composer, song, concert hall, musical instrument",
    ),
    Example(
        "Food",
        "Is there a Vietnamese place near Alexanderplatz that serves a vegan pho under 12 euros and stays "
        "open after 11 pm?",
        "cuisine, dish, location, price, opening hours",
    ),
)
