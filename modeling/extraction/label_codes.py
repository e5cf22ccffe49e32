"""What the usual codes of entity types mean, in plain words.

A code is looked up without its letter case and with ``_`` for blanks and hyphens. To add a code, add it to
its group.
"""

# CoNLL-2002 and CoNLL-2003, WikiNER, and the four types of most published taggers.
_CONLL = {"PER": "person", "ORG": "organization", "LOC": "location", "MISC": "miscellaneous"}

# OntoNotes 5.0 (the guidelines of its names, values and dates); spaCy's English models use these names.
_ONTONOTES = {
    "PERSON": "person",
    "NORP": "nationality, religious or political group",
    "FAC": "facility",
    "FACILITY": "facility",
    "ORGANIZATION": "organization",
    "GPE": "country or city",
    "LOCATION": "location",
    "PRODUCT": "product",
    "EVENT": "event",
    "WORK_OF_ART": "work of art",
    "LAW": "law",
    "LANGUAGE": "language",
    "DATE": "date",
    "TIME": "time",
    "PERCENT": "percentage",
    "MONEY": "money",
    "QUANTITY": "quantity",
    "ORDINAL": "ordinal number",
    "CARDINAL": "cardinal number",
}

# ACE 2005, the Groningen Meaning Bank, MultiNERD, MultiCoNER, TweetNER7.
_NEWS_AND_WIKIPEDIA = {
    "VEH": "vehicle",
    "VEHI": "vehicle",
    "WEA": "weapon",
    "GEO": "geographical location",
    "TIM": "time",
    "NAT": "natural phenomenon",
    "EVE": "event",
    "ANIM": "animal",
    "CEL": "celestial body",
    "DIS": "disease",
    "INST": "instrument",
    "MYTH": "mythological entity",
    "CORP": "corporation",
    "GRP": "group",
    "PROD": "product",
    "CW": "creative work",
}

# BioNLP and CRAFT, as scispaCy's models name them.
_BIOMEDICINE = {
    "GGP": "gene or gene product",
    "CHEBI": "chemical",
    "CHEM": "chemical",
    "TAXON": "taxon",
}

# Personal data: Presidio, ai4privacy's data sets, i2b2 2014, and forms in general.
_PERSONAL_DATA = {
    "PHONE": "phone number",
    "PHONE_NUMBER": "phone number",
    "PHONENUMBER": "phone number",
    "TELEPHONENUM": "phone number",
    "TEL": "phone number",
    "FAX": "fax number",
    "EMAIL": "email address",
    "EMAIL_ADDRESS": "email address",
    "E_MAIL": "email address",
    "IP": "ip address",
    "IP_ADDRESS": "ip address",
    "IPV4": "ip address",
    "MAC": "mac address",
    "URL": "url",
    "CREDIT_CARD": "credit card number",
    "CREDITCARDNUMBER": "credit card number",
    "CREDITCARDCVV": "credit card security code",
    "CVV": "credit card security code",
    "IBAN_CODE": "iban",
    "CRYPTO": "cryptocurrency wallet address",
    "ACCOUNTNUMBER": "account number",
    "ACCOUNTNUM": "account number",
    "US_BANK_NUMBER": "bank account number",
    "SSN": "social security number",
    "US_SSN": "social security number",
    "SOCIALNUM": "social security number",
    "US_ITIN": "taxpayer identification number",
    "TAXNUM": "tax number",
    "US_PASSPORT": "passport number",
    "PASSPORTNUM": "passport number",
    "US_DRIVER_LICENSE": "driver license number",
    "DRIVERLICENSENUM": "driver license number",
    "MEDICAL_LICENSE": "medical license number",
    "MEDICALRECORD": "medical record number",
    "MRN": "medical record number",
    "UK_NHS": "nhs number",
    "IDCARDNUM": "identity card number",
    "IDNUM": "identification number",
    "VIN": "vehicle identification number",
    "VEHICLEVIN": "vehicle identification number",
    "VEHICLEVRM": "vehicle registration number",
    "DOB": "date of birth",
    "DATEOFBIRTH": "date of birth",
    "DATE_TIME": "date or time",
    "NRP": "nationality, religious or political group",
    "FIRSTNAME": "first name",
    "GIVENNAME": "given name",
    "MIDDLENAME": "middle name",
    "LASTNAME": "last name",
    "USERNAME": "user name",
    "JOBTITLE": "job title",
    "COMPANYNAME": "company name",
    "STREETADDRESS": "street address",
    "ADDR": "address",
    "ZIP": "zip code",
    "ZIPCODE": "zip code",
}

CODES = _CONLL | _ONTONOTES | _NEWS_AND_WIKIPEDIA | _BIOMEDICINE | _PERSONAL_DATA

CAPITALS = frozenset(
    {"CARDINAL", "ORDINAL", "PERCENT", "CEL", "DIS", "EVE", "INST", "NAT", "TIM"}
    | {"PHONE", "EMAIL", "E_MAIL", "FAX", "TEL", "CRYPTO", "MAC", "VIN", "ZIP"}
)
"""Codes that are words too: only capitals, or a tag's prefix, tell that the code is meant."""

TAGGED = {"ART": "artifact"}
"""Codes that are so common as words that only a tag's prefix (``B-ART``) tells that the code is meant."""

NO_TAGS = frozenset({"B-CELL", "B-MOVIE", "B-SIDE", "I-BEAM", "I-PHONE"})
"""Words that begin as a tag does and are none."""
