"""A database that looks like Agresso's two views for expenses, as a SQLite file: people and the values of their axes.

The same seed gives the same file. `dirty` adds what such views really hold: no mail, mails twice, blanks, days before
months, an unknown company, managers in a circle, codes with a stroke, a blank or a percent sign.
"""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

USERS = (
    "AdresseEmail", "Prenom", "Nom", "Entreprise", "Fonction", "Role", "Profil", "Manager", "Compte_Auxiliaire_Agresso",
    "Moyen_Paiement_Prof", "Compte_Auxiliaire2", "Matricule", "Centre_Cout", "Creation_Vehicule", "Appro_Veh_Adm",
    "Deduction_Distance_TravDom", "Distance_TravDom", "Devise", "langue", "Structure", "Champs_Liaison_SSO",
    "Droit_Relever_Plafond", "Methode_SSO", "Update_Champs_Perso", "Nouveau_Email", "Action", "CompanyID", "LocationID",
    "DivisionID",
)  # fmt: skip
AXES = ("typ", "client", "code", "description", "status", "date_from", "date_to")
_SCHEMA = """
CREATE TABLE agr_people (
    AdresseEmail, Prenom, Nom, Entreprise, Fonction, Role, Profil, Manager, Compte_Auxiliaire_Agresso,
    Moyen_Paiement_Prof, Compte_Auxiliaire2, Matricule, Centre_Cout, Creation_Vehicule, Appro_Veh_Adm,
    Deduction_Distance_TravDom, Distance_TravDom, Devise, langue, Structure, Champs_Liaison_SSO,
    Droit_Relever_Plafond, Methode_SSO, Update_Champs_Perso, Nouveau_Email, Action, CompanyID, LocationID,
    DivisionID
);
CREATE VIEW iris_N2F_User AS SELECT * FROM agr_people;
CREATE TABLE agr_axes (typ, client, code, description, status, date_from, date_to);
CREATE VIEW iris_N2F_Analytics AS SELECT * FROM agr_axes;
"""
_PERSON = "INSERT INTO agr_people VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_VALUE = "INSERT INTO agr_axes VALUES (?, ?, ?, ?, ?, ?, ?)"
COMPANIES = ("100", "200", "300")
_FIRST = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana", "Iris", "Jan")
_LAST = ("Arnaud", "Blanc", "Colin", "Duval", "Ernst", "Faure", "Girard", "Huet")
_JOBS = ("Technicien", "Comptable", "Chef de projet", "Conducteur")
_KINDS = (("PROJECT", "Chantier", 6), ("PLAQUE", "Véhicule", 3), ("SUBPOST", "Poste", 2))
_TEAM = 10

Row = dict[str, Any]


def write(path: Path, *, users: int, seed: int = 0, dirty: bool = False) -> tuple[int, int]:
    """Write the file anew; how many rows each view has. Raises: OSError, sqlite3.Error."""
    path.unlink(missing_ok=True)
    dice = random.Random(f"agresso:{seed}")  # noqa: S311 - reproducible people, not a secret
    people, values = list(_people(users, dice)), list(_values(users, dice))
    if dirty:
        people += _dirty_people(people)
        values += _dirty_values()
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(_SCHEMA)
        connection.executemany(_PERSON, [[row.get(name) for name in USERS] for row in people])
        connection.executemany(_VALUE, [[row.get(name) for name in AXES] for row in values])
    connection.close()
    return len(people), len(values)


def _mail(number: int) -> str:
    return f"{_FIRST[number % len(_FIRST)]}.{_LAST[number // len(_FIRST) % len(_LAST)]}{number}@example.org"


def _people(count: int, dice: random.Random) -> Iterator[Row]:
    for number in range(count):
        yield {
            "AdresseEmail": _mail(number),
            "Prenom": _FIRST[number % len(_FIRST)],
            "Nom": _LAST[number // len(_FIRST) % len(_LAST)],
            "Entreprise": COMPANIES[number % len(COMPANIES)],
            "Fonction": dice.choice(_JOBS),
            "Role": "Administrateur" if number % 50 == 0 else "Utilisateur",
            "Profil": "Direction" if number % _TEAM == 0 else None,
            "Manager": None if number == 0 else _mail(0 if number % _TEAM == 0 else number - number % _TEAM),
            "Compte_Auxiliaire_Agresso": f"40{number:05}",
            "Moyen_Paiement_Prof": dice.choice(("Oui", "Non")),
            "Matricule": 10_000 + number,
            "Creation_Vehicule": dice.choice(("Oui", "Non")),
            "Appro_Veh_Adm": "Oui",
            "Deduction_Distance_TravDom": "Non",
            "Devise": "EUR",
            "langue": dice.choice(("FR", "NL")),
            "Structure": dice.choice((None, "L2")),
            "Droit_Relever_Plafond": dice.choice(("Oui", "Non", None)),
            "Methode_SSO": "Saml",
        }


def _values(users: int, dice: random.Random) -> Iterator[Row]:
    for client in COMPANIES:
        for kind, title, share in _KINDS:
            for number in range(max(3, users * share // 30)):
                year = dice.randrange(2020, 2026)
                yield {
                    "typ": kind,
                    "client": client,
                    # The three kinds share codes, and so do the companies.
                    "code": f"{number + 1:05}",
                    "description": f"{title} {dice.randrange(1000)}",
                    "status": dice.choice("NC"),
                    "date_from": f"01/{number % 12 + 1:02}/{year}",
                    "date_to": dice.choice(("31/12/2099", f"30/06/{year + 2}")),
                }


def _dirty_people(people: list[Row]) -> list[Row]:
    first, second = people[0], people[min(1, len(people) - 1)]
    return [
        {**first, "AdresseEmail": None, "Matricule": 90_001},
        {**second, "AdresseEmail": f"  {second['AdresseEmail'].upper()} "},
        {**first, "AdresseEmail": "unknown.company@example.org", "Entreprise": "999"},
        {**first, "AdresseEmail": "maybe.vehicle@example.org", "Creation_Vehicule": "peut-être"},
        {**first, "AdresseEmail": "circle.a@example.org", "Manager": "circle.b@example.org"},
        {**first, "AdresseEmail": "circle.b@example.org", "Manager": "circle.a@example.org"},
        {**first, "AdresseEmail": "orphan@example.org", "Manager": "nobody@example.org"},
    ]


def _dirty_values() -> list[Row]:
    odd = {"typ": "Project ", "client": "100", "description": "  Étude ", "date_from": "2026-01-31 00:00:00"}
    return [{**odd, "code": code, "date_to": "31/12/2099"} for code in ("A/1", "B 2", "C%3", "D?4", "É-5")]
