"""What providers say of pictures that they do not take: all of them, of one model, or this one picture.

The status decides nothing here. Servers answer a picture for a model without eyes with 400, 404 and 500, so that
what is never to be tried again looks like a passing fault (docs/providers.md, section 11.3).
"""

from __future__ import annotations

import re

__all__ = ["is_about_pictures", "takes_no_images"]

_INPUT = (
    r"(?:images\b|(?:image|picture)(?:_url)? (?:inputs?|contents?|modality|messages?|attachments?|parts?)\b"
    r"|image_url\b|vision\b|multi-?modal(?: (?:inputs?|contents?|messages?))?\b)"
)
"""Pictures of every kind; of one picture alone it is said that *it* is wrong."""
_NOT_THESE = r"(?![ /_-]*(?:formats?|types?|media|mime|urls?|uri|sizes?|larger|of|that|with|in|from|above|over|/))"
_BLIND = re.compile(
    r"image[_ ]url is only supported"
    rf"|{_INPUT} (?:is|are) (?:not|only|un)[ ]?(?:supported|accepted|allowed|enabled){_NOT_THESE}"
    r"|(?:supports?|handles?) (?:image|vision) input"
    r"|(?:does not|doesn't|do not|don't|cannot|can't|can not|not able to)"
    rf" (?:support|accept|take|process|handle|see|read) (?:any )?{_INPUT}{_NOT_THESE}"
    rf"|(?:does not|doesn't|do not|don't) (?:support|accept|take) (?:any )?(?:image|picture)\b{_NOT_THESE}"
    r"|missing data required for image input"
    r"|unknown variant [`'\"]?(?:image|image_url|input_image)\b"
    r"|not (?:an? )?(?:multi-?modal|vision)\b"
    r"|at most 0 (?:image|picture)"
    r"|(?:no|without|lacks) (?:vision|image(?: input)?|multi-?modal) (?:support|capabilit)"
    r"|text[- ]only model|only (?:supports|accepts|takes) text\b"
    r"|(?:provide|set|load|needs?) (?:the |an? )?mmproj"
    r"|content type [`'\"]?(?:image|image_url|input_image)[`'\"]? is not supported"
    r"|\bcontent[`'\"]? {0,3}:? {0,3}(?:value )?must be a string",
    re.IGNORECASE,
)
_PICTURE = re.compile(
    r"(?:valid|unsupported|invalid|corrupt\w{0,4}|broken|empty) (?:\w{1,12} )?(?:image|picture)"
    r"|(?:could not|cannot|can't|unable to|failed to) (?:process|load|decode|open|read|parse|identify)"
    r" (?:the |an? |this |input |provided ){0,3}(?:image|picture)"
    r"|(?:image|picture)s? (?:\w{1,12} )?(?:exceeds?|dimensions?|is too|are too|size)"
    r"|at most \d{1,6} (?:image|picture)|too many (?:image|picture)s"
    r"|PDF pages may be provided|request containing a base64 encoded image",
    re.IGNORECASE,
)


def takes_no_images(message: str) -> bool:
    """Returns whether a provider says that the model sees no pictures at all, not that this one is at fault."""
    return bool(_BLIND.search(message))


def is_about_pictures(message: str) -> bool:
    """Returns whether a provider's complaint is about pictures: that it takes none, or not these."""
    return takes_no_images(message) or bool(_PICTURE.search(message))
