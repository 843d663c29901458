"""Field types that many questions and answers share. The constraints are checked where a question enters the house."""

from typing import Annotated

from msgspec import Meta

Latitude = Annotated[
    float, Meta(ge=-90, le=90, description="Degrees north of the equator, WGS 84.", examples=[46.2044])
]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="Degrees east of Greenwich, WGS 84.", examples=[6.1432])]
Currency = Annotated[
    str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217 code.", examples=["EUR"], extra={"format": "currency"})
]
Language = Annotated[
    str,
    Meta(
        pattern="^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$",
        description="BCP 47 tag.",
        examples=["en"],
        extra={"format": "language"},
    ),
]
Words = Annotated[str, Meta(min_length=1, max_length=300, description="What to look for.", examples=["Geneva"])]
