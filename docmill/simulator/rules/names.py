"""Names, numbers and other words that documents hold."""

from __future__ import annotations

import re

__all__ = ["named", "parties"]

COMPANY = re.compile(
    r"\b(?:sdn\.?\s*bhd|s/b|bhd|ltd|limited|llc|inc|incorporated|corp|corporation|gmbh|ag|kg|sarl|sas|s\.a|plc"
    r"|co\.|company|trading|trad|enterprise|enterprises|restoran|restaurant|cafe|café|hardware|stationery|mart"
    r"|supermarket|market|store|shop|bakery|pharmacy|books?|syarikat|perniagaan|kedai|house|holdings?|group|l\.?p|partners|university)\b",
    re.IGNORECASE,
)
PLACE = re.compile(
    r"\b(?:no\.?\s?\d|lot\s|jalan|jln|taman|tmn|street|road|avenue|lane|lorong|persiaran|floor|level"
    r"|\d{5}[\s,]+[A-Z]|rue|straße|strasse|square|quay|kuala|selangor|johor)",
    re.IGNORECASE,
)
NOT_A_NAME = re.compile(
    r"invoice|receipt|[:@]|\btel\b|phone|\bfax\b|gst|\bdate\b|page|www\.|http|@|\breg\b|cash|bill\b|customer|welcome|copy"
    r"|rechnung|facture|seite",
    re.IGNORECASE,
)
NUMBER_LABEL = re.compile(
    r"(?:invoice|inv|rechnungs?|facture|bill|receipt|document|credit\s+note|gutschrift)[\s-]*+"
    r"(?:number|nummer|num[ée]ro|no|nr|n°|id|#)?\s*+[.:#°]*+\s*+([A-Z0-9][\w./-]{0,40}\d[\w./-]{0,40})",
    re.IGNORECASE,
)
ANY_NUMBER_LABEL = re.compile(
    r"(?:number|nummer|no\.?|nr\.?)(?:\s*+:)?\s++([A-Z]{0,4}[-/]?\d[\w/-]{2,})", re.IGNORECASE
)
BUYER = re.compile(
    r"(?:bill(?:ed)?\s+to|sold\s+to|customer|buyer|invoice\s+to|käufer|kunde|client|ship\s+to)[^\S\n]*:?[^\S\n]*"
    r"(?:\n\s*)?([^\n:]{3,80})",
    re.IGNORECASE,
)
CURRENCIES = {
    "€": "EUR",
    "eur": "EUR",
    "£": "GBP",
    "gbp": "GBP",
    "rm": "MYR",
    "myr": "MYR",
    "usd": "USD",
    "$": "USD",
    "chf": "CHF",
}
TITLE = re.compile(r"(?:^|_)(?:title|subject|heading|headline)(?:$|_)")
"""Of fields that mean a document's first line, where no label says otherwise."""
SELLER_SECTION = re.compile(r"^[^\S\n]*+(?:seller|verkäufer|vendeur|supplier)\b", re.IGNORECASE | re.MULTILINE)
BUYER_SECTION = re.compile(r"^[^\S\n]*+(?:buyer|käufer|acheteur)", re.IGNORECASE | re.MULTILINE)
SECTION_NAME = re.compile(r"^[^\S\n]*+(?:name|nom)\s*+:\s*+(\S[^\n]*)", re.IGNORECASE | re.MULTILINE)
NEXT_LINE_OF_A_NAME = re.compile(
    r"\W*(?:co\.?\s*\(?m\)?\.?\s*)?(?:sdn\.?\s*bhd|s/b|ltd|limited|inc)\b.*", re.IGNORECASE
)
LAW = re.compile(
    r"(?i:laws?\s+of\s+(?:the\s+)?(?:(?:state|commonwealth|province|republic)\s+of\s+)?(?:the\s+)?)"
    r"([A-Z][\w’'-]*(?:\s+(?:and\s+)?[A-Z][\w’'-]*){0,3})"
)
GOVERNED = re.compile(r"govern|constru|interpret", re.IGNORECASE)
COUNTED = r"(?:[\w-]{1,40}+\s++)?\(?\d{0,3}\)?\s*+(?:years?|months?|days?)"
TERM = (
    re.compile(rf"(?:period|term)\s++of\s++({COUNTED})", re.IGNORECASE),
    re.compile(
        rf"(?:expire|terminate|remain\s+in\s+(?:full\s+)?(?:force|effect)|continue)[^.]{{0,120}}?(?<!\w)({COUNTED})\b",
        re.IGNORECASE,
    ),
)
SUFFIX = (
    r"(?:Inc|Incorporated|Ltd|Limited|LLC|L\.L\.C|Corp|Corporation|Company|Co|LP|L\.P|PLC|plc|GmbH|AG|ASA"
    r"|N\.?V|S\.?A|B\.?V)"
)
BETWEEN = re.compile(r"\b(?:by\s+and\s+)?(?:between|among|amongst)\b[\s:]*", re.IGNORECASE)
COMPANY_NAME = re.compile(
    rf"\b([A-Z][\w&’'.-]{{0,60}}+(?:\s++(?:[A-Z][\w&’'.-]{{0,60}}+|&|of|de)){{0,9}},?\s++{SUFFIX}\b\.?)"
)
PARTY_END = re.compile(
    r"(?<!\s)\s*+(?:[(\[“\"]|,\s*+(?:an?|the|with|having|whose|located|its|on|as|residing|duly)\b|;)"
)


def named(name: str, document: str) -> str:
    """The words that a field of that name means; an empty text where there are none."""
    finders = (
        (("currency",), _currency),
        (("invoice_number", "number"), _number),
        (("buyer", "customer"), _buyer),
        (("company", "seller", "shop", "merchant", "vendor"), _company),
        (("address",), _address),
        (("law", "jurisdiction"), _law),
        (("term", "duration"), _term),
    )
    for words, finder in finders:
        if any(word in name for word in words):
            return finder(document)
    return _labelled(name, document)


def parties(document: str) -> list[str]:
    """The parties of an agreement: what stands after "between", else every company named at its beginning."""
    head = re.sub(r"\s+", " ", document[:6000])
    found: list[str] = []
    start = BETWEEN.search(head)
    if start:
        found = [
            _party(part)
            for part in re.split(r",?(?<!\s)\s++and\s++(?:between\s++)?|;\s*+", head[start.end() :][:700])[:4]
        ]
    found = [name for name in found if name]
    found += [match[1].strip() for match in COMPANY_NAME.finditer(head[:2500])]
    distinct = {re.sub(r"\W+", " ", name).strip().casefold(): name for name in reversed(found)}
    ordered = sorted(distinct.values(), key=found.index)
    return ordered[:2] if ordered else []


def _party(part: str) -> str:
    """A party's name, cut where its description begins; empty where this is none."""
    end = PARTY_END.search(part)
    name = (part[: end.start()] if end else part[:80]).strip(" ,.:“\"'_")
    words = name.split()
    fits = 1 < len(words) <= 9 and words[0][:1].isupper() and "agreement" not in name.casefold()
    return f"{name}." if fits and re.search(rf"{SUFFIX}$", name) and f"{name}." in part else name if fits else ""


def _company(document: str) -> str:
    sectioned = _section(document, SELLER_SECTION)
    if sectioned:
        return sectioned
    rows = [re.split(r"\s{3,}", row.strip())[0] for row in document.splitlines()[:14] if row.strip()]
    plain = [row for row in rows if re.search(r"[^\W\d]{3}", row) and not PLACE.search(row)]
    likely = [row for row in plain if not NOT_A_NAME.search(row)]
    for row in likely[:4]:
        if COMPANY.search(row):
            return _whole_name(rows, row)
    return _whole_name(rows, (likely or plain or rows or [""])[0])


def _section(document: str, heading: re.Pattern[str]) -> str:
    """The name within the part of a form that has this heading: labelled as one, or alone in the line below."""
    start = heading.search(document)
    if start is None:
        return ""
    below = [line.strip() for line in document[start.end() : start.end() + 600].splitlines()[1:] if line.strip()]
    if below and ":" not in below[0] and len(below[0]) < 80:
        return re.split(r"\s{3,}", below[0])[0]
    found = SECTION_NAME.search(document, start.end(), start.end() + 600)
    return found[1].strip() if found else ""


def _whole_name(rows: list[str], row: str) -> str:
    """A name with its legal form, where that stands in the line below or alone below the name."""
    if row not in rows:
        return row
    at = rows.index(row)
    if at and NEXT_LINE_OF_A_NAME.fullmatch(row):
        row = f"{rows[at - 1]} {row}"
    elif at + 1 < len(rows) and NEXT_LINE_OF_A_NAME.fullmatch(rows[at + 1]):
        row = f"{row} {rows[at + 1]}"
    return re.sub(r"(?<!\s)\s*+\((?=[A-Z -]*+\d)[\dA-Z -]*+\)?$", "", row).strip()


def _address(document: str) -> str:
    rows = [row.strip() for row in document.splitlines()[:14] if row.strip()]
    start = next((at for at, row in enumerate(rows) if PLACE.search(row)), None)
    if start is None:
        return ""
    end = start
    while end + 1 < min(len(rows), start + 4) and not NOT_A_NAME.search(rows[end + 1]):
        end += 1
    return " ".join(rows[start : end + 1])


def _number(document: str) -> str:
    found = NUMBER_LABEL.search(document)
    if found:
        return found[1].rstrip(".,")
    labelled = ANY_NUMBER_LABEL.search(document)
    digits = re.search(r"\b[A-Z0-9-]*\d{4,}\b", document)
    return labelled[1] if labelled else digits[0] if digits else ""


def _buyer(document: str) -> str:
    sectioned = _section(document, BUYER_SECTION)
    if sectioned:
        return sectioned
    found = BUYER.search(document)
    return re.split(r"\s{3,}", found[1].strip())[0] if found else ""


def _currency(document: str) -> str:
    """The code of the currency that is named most often, where one is named at all."""
    words = document.casefold()
    counts = {mark: len(re.findall(rf"(?<![a-z]){re.escape(mark)}(?![a-z])", words)) for mark in CURRENCIES}
    best = max(counts, key=lambda mark: counts[mark])
    return CURRENCIES[best] if counts[best] else ""


def _law(document: str) -> str:
    text = re.sub(r"\s+", " ", document)
    near = [
        match for match in LAW.finditer(text) if GOVERNED.search(text[max(0, match.start() - 160) : match.start()])
    ]
    chosen = near or list(LAW.finditer(text))
    return re.sub(r"(?<!\s)\s++(?:without|and|the|applicable)$", "", chosen[-1][1]) if chosen else ""


def _term(document: str) -> str:
    text = re.sub(r"\s+", " ", document)
    for shape in TERM:
        found = shape.search(text)
        if found:
            return found[1].strip()
    return ""


def _labelled(name: str, document: str) -> str:
    label = re.escape(name).replace("_", r"[\s_]*")
    found = re.search(rf"\b{label}\b[^\S\n]*(?:[:#]|no\.?)[^\S\n]*(\S[^\n]*)", document, re.IGNORECASE)
    if found or not TITLE.search(name):
        return found[1].strip() if found else ""
    return next((row.strip() for row in document.splitlines() if row.strip()), "")
