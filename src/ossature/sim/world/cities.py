"""Cities of the real world: names, countries, approximate centres. Common knowledge, rounded."""

import re
import unicodedata
from typing import NamedTuple

from ossature.sim.world.sky import metres


class City(NamedTuple):
    """One city; coordinates in degrees (WGS 84), population in people, elevation in metres."""

    name: str
    country_code: str
    country: str
    region: str
    latitude: float
    longitude: float
    zone: str
    population: int
    elevation_m: int
    other_names: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """A stable number for ids of upstreams."""
        return CITIES.index(self) + 1


CITIES: tuple[City, ...] = (
    City("Paris", "FR", "France", "Île-de-France", 48.8566, 2.3522, "Europe/Paris", 2_100_000, 42),
    City("Lyon", "FR", "France", "Auvergne-Rhône-Alpes", 45.7640, 4.8357, "Europe/Paris", 520_000, 173),
    City("Marseille", "FR", "France", "Provence-Alpes-Côte d'Azur", 43.2965, 5.3698, "Europe/Paris", 870_000, 28),
    City("Toulouse", "FR", "France", "Occitanie", 43.6047, 1.4442, "Europe/Paris", 500_000, 146),
    City("Nice", "FR", "France", "Provence-Alpes-Côte d'Azur", 43.7102, 7.2620, "Europe/Paris", 340_000, 25),
    City("Strasbourg", "FR", "France", "Grand Est", 48.5734, 7.7521, "Europe/Paris", 290_000, 143, ("Straßburg",)),
    City("London", "GB", "United Kingdom", "England", 51.5074, -0.1278, "Europe/London", 8_900_000, 25, ("Londres",)),
    City("Manchester", "GB", "United Kingdom", "England", 53.4808, -2.2426, "Europe/London", 550_000, 40),
    City("Edinburgh", "GB", "United Kingdom", "Scotland", 55.9533, -3.1883, "Europe/London", 510_000, 47),
    City("Dublin", "IE", "Ireland", "Leinster", 53.3498, -6.2603, "Europe/Dublin", 590_000, 20),
    City("Zürich", "CH", "Switzerland", "Zürich", 47.3769, 8.5417, "Europe/Zurich", 440_000, 408),
    City("Geneva", "CH", "Switzerland", "Geneva", 46.2044, 6.1432, "Europe/Zurich", 205_000, 375, ("Genève", "Genf")),
    City("Basel", "CH", "Switzerland", "Basel-Stadt", 47.5596, 7.5886, "Europe/Zurich", 175_000, 260, ("Bâle",)),
    City("Bern", "CH", "Switzerland", "Bern", 46.9480, 7.4474, "Europe/Zurich", 135_000, 540, ("Berne",)),
    City("Lausanne", "CH", "Switzerland", "Vaud", 46.5197, 6.6323, "Europe/Zurich", 140_000, 495),
    City("Lugano", "CH", "Switzerland", "Ticino", 46.0037, 8.9511, "Europe/Zurich", 62_000, 273),
    City("Berlin", "DE", "Germany", "Berlin", 52.5200, 13.4050, "Europe/Berlin", 3_700_000, 34),
    City("Munich", "DE", "Germany", "Bavaria", 48.1351, 11.5820, "Europe/Berlin", 1_500_000, 519, ("München",)),
    City("Hamburg", "DE", "Germany", "Hamburg", 53.5511, 9.9937, "Europe/Berlin", 1_850_000, 6),
    City("Frankfurt", "DE", "Germany", "Hesse", 50.1109, 8.6821, "Europe/Berlin", 760_000, 112),
    City("Vienna", "AT", "Austria", "Vienna", 48.2082, 16.3738, "Europe/Vienna", 1_950_000, 171, ("Wien",)),
    City("Brussels", "BE", "Belgium", "Brussels", 50.8503, 4.3517, "Europe/Brussels", 1_200_000, 13, ("Bruxelles",)),
    City("Luxembourg", "LU", "Luxembourg", "Luxembourg", 49.6116, 6.1319, "Europe/Luxembourg", 130_000, 273),
    City("Amsterdam", "NL", "Netherlands", "North Holland", 52.3676, 4.9041, "Europe/Amsterdam", 870_000, 2),
    City("Madrid", "ES", "Spain", "Madrid", 40.4168, -3.7038, "Europe/Madrid", 3_300_000, 657),
    City("Barcelona", "ES", "Spain", "Catalonia", 41.3874, 2.1686, "Europe/Madrid", 1_650_000, 12),
    City("Lisbon", "PT", "Portugal", "Lisbon", 38.7223, -9.1393, "Europe/Lisbon", 550_000, 45, ("Lisboa",)),
    City("Rome", "IT", "Italy", "Lazio", 41.9028, 12.4964, "Europe/Rome", 2_800_000, 21, ("Roma",)),
    City("Milan", "IT", "Italy", "Lombardy", 45.4642, 9.1900, "Europe/Rome", 1_370_000, 120, ("Milano",)),
    City("Athens", "GR", "Greece", "Attica", 37.9838, 23.7275, "Europe/Athens", 640_000, 70),
    City("Istanbul", "TR", "Türkiye", "Istanbul", 41.0082, 28.9784, "Europe/Istanbul", 15_600_000, 39),
    City("Warsaw", "PL", "Poland", "Masovia", 52.2297, 21.0122, "Europe/Warsaw", 1_860_000, 100, ("Warszawa",)),
    City("Kraków", "PL", "Poland", "Lesser Poland", 50.0647, 19.9450, "Europe/Warsaw", 800_000, 219),
    City("Prague", "CZ", "Czechia", "Prague", 50.0755, 14.4378, "Europe/Prague", 1_350_000, 200, ("Praha",)),
    City("Budapest", "HU", "Hungary", "Budapest", 47.4979, 19.0402, "Europe/Budapest", 1_750_000, 105),
    City("Bucharest", "RO", "Romania", "Bucharest", 44.4268, 26.1025, "Europe/Bucharest", 1_700_000, 85),
    City("Sofia", "BG", "Bulgaria", "Sofia", 42.6977, 23.3219, "Europe/Sofia", 1_240_000, 550),
    City("Kyiv", "UA", "Ukraine", "Kyiv", 50.4501, 30.5234, "Europe/Kyiv", 2_950_000, 179, ("Kiev",)),
    City("Copenhagen", "DK", "Denmark", "Capital Region", 55.6761, 12.5683, "Europe/Copenhagen", 650_000, 14),
    City("Stockholm", "SE", "Sweden", "Stockholm", 59.3293, 18.0686, "Europe/Stockholm", 980_000, 28),
    City("Oslo", "NO", "Norway", "Oslo", 59.9139, 10.7522, "Europe/Oslo", 700_000, 23),
    City("Tromsø", "NO", "Norway", "Troms", 69.6492, 18.9553, "Europe/Oslo", 78_000, 10),
    City("Helsinki", "FI", "Finland", "Uusimaa", 60.1699, 24.9384, "Europe/Helsinki", 660_000, 26),
    City("Reykjavík", "IS", "Iceland", "Capital Region", 64.1466, -21.9426, "Atlantic/Reykjavik", 140_000, 15),
    City("Jerusalem", "IL", "Israel", "Jerusalem", 31.7683, 35.2137, "Asia/Jerusalem", 980_000, 754),
    City("Tel Aviv", "IL", "Israel", "Tel Aviv", 32.0853, 34.7818, "Asia/Jerusalem", 470_000, 5),
    City("Cairo", "EG", "Egypt", "Cairo", 30.0444, 31.2357, "Africa/Cairo", 10_000_000, 23, ("Le Caire",)),
    City("Lagos", "NG", "Nigeria", "Lagos", 6.5244, 3.3792, "Africa/Lagos", 15_000_000, 41),
    City("Nairobi", "KE", "Kenya", "Nairobi", -1.2921, 36.8219, "Africa/Nairobi", 4_400_000, 1795),
    City("Cape Town", "ZA", "South Africa", "Western Cape", -33.9249, 18.4241, "Africa/Johannesburg", 4_600_000, 25),
    City("Dubai", "AE", "United Arab Emirates", "Dubai", 25.2048, 55.2708, "Asia/Dubai", 3_500_000, 5),
    City("Mumbai", "IN", "India", "Maharashtra", 19.0760, 72.8777, "Asia/Kolkata", 12_500_000, 14),
    City("Delhi", "IN", "India", "Delhi", 28.6139, 77.2090, "Asia/Kolkata", 16_800_000, 216),
    City("Bangkok", "TH", "Thailand", "Bangkok", 13.7563, 100.5018, "Asia/Bangkok", 8_300_000, 2),
    City("Singapore", "SG", "Singapore", "Singapore", 1.3521, 103.8198, "Asia/Singapore", 5_900_000, 15),
    City("Hong Kong", "HK", "Hong Kong", "Hong Kong", 22.3193, 114.1694, "Asia/Hong_Kong", 7_400_000, 30),
    City("Beijing", "CN", "China", "Beijing", 39.9042, 116.4074, "Asia/Shanghai", 21_500_000, 44),
    City("Seoul", "KR", "South Korea", "Seoul", 37.5665, 126.9780, "Asia/Seoul", 9_500_000, 38),
    City("Tokyo", "JP", "Japan", "Tokyo", 35.6762, 139.6503, "Asia/Tokyo", 13_900_000, 40),
    City("Sydney", "AU", "Australia", "New South Wales", -33.8688, 151.2093, "Australia/Sydney", 5_300_000, 20),
    City("Auckland", "NZ", "New Zealand", "Auckland", -36.8509, 174.7645, "Pacific/Auckland", 1_500_000, 26),
    City("New York", "US", "United States", "New York", 40.7128, -74.0060, "America/New_York", 8_300_000, 10),
    City("San Francisco", "US", "United States", "California", 37.7749, -122.4194, "America/Los_Angeles", 810_000, 16),
    City("Chicago", "US", "United States", "Illinois", 41.8781, -87.6298, "America/Chicago", 2_700_000, 181),
    City("Toronto", "CA", "Canada", "Ontario", 43.6532, -79.3832, "America/Toronto", 2_800_000, 76),
    City("Montréal", "CA", "Canada", "Quebec", 45.5017, -73.5673, "America/Toronto", 1_760_000, 36),
    City("Mexico City", "MX", "Mexico", "Mexico City", 19.4326, -99.1332, "America/Mexico_City", 9_200_000, 2240),
    City("São Paulo", "BR", "Brazil", "São Paulo", -23.5505, -46.6333, "America/Sao_Paulo", 12_300_000, 760),
    City("Buenos Aires", "AR", "Argentina", "Buenos Aires", -34.6037, -58.3816, "America/Argentina/Buenos_Aires", 3_100_000, 25),
)  # fmt: skip

# A place further than this from every city is open country or sea: upstreams have nothing to say about it.
FAR_M = 120_000.0


def plain(text: str) -> str:
    """Return the text in lower case, without accents, as geocoders compare."""
    spread = unicodedata.normalize("NFKD", text.casefold().replace("ø", "o"))
    return "".join(letter for letter in spread if not unicodedata.combining(letter)).strip()


_WORDS = re.compile(r"\w+")
_PLAIN_NAMES = tuple((city, tuple(plain(name) for name in (city.name, *city.other_names))) for city in CITIES)


def search(text: str) -> list[City]:
    """Return the cities that the text names or begins, best first."""
    wanted = plain(text)
    if not wanted:
        return []
    padded = f" {' '.join(_WORDS.findall(wanted))} "
    scored = []
    for city, names in _PLAIN_NAMES:
        if wanted in names:
            scored.append((0, -city.population, city))
        elif any(f" {name} " in padded for name in names):
            scored.append((1, -city.population, city))
        elif any(name.startswith(wanted) for name in names):
            scored.append((2, -city.population, city))
    return [city for *_, city in sorted(scored)]


def nearest(latitude: float, longitude: float) -> City | None:
    """Return the city that place belongs to, or None in open country."""
    here = (latitude, longitude)
    distance_m, city = min((metres(here, (city.latitude, city.longitude)), city) for city in CITIES)
    return city if distance_m <= FAR_M else None
