"""Invents people, companies, addresses and keys: all of them from a Random, none of them real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class Person:
    """An invented person."""

    first_name: str
    last_name: str

    @property
    def local_part(self) -> str:
        """What stands before the @ of the person's e-mail address."""
        return self.first_name.lower()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES = _words("""
    Aiko Amara Anders Beatriz Bruno Camille Chidi Daniela Dmitri Elif Emil Fatima Finn Giulia Hana
    Hugo Ines Ivan Jonas Kavya Kwame Lars Leila Linh Lucia Malik Marta Mateo Mei Nadia Noah Oskar
    Paloma Priya Rafael Rosa Samir Sofia Tariq Yuki
""")
_LAST_NAMES = _words("""
    Abebe Almeida Andersen Bauer Becker Castillo Chen Costa Dubois Eriksen Ferrari Fischer Garcia
    Haddad Hansen Ivanova Jansen Kaya Khan Kowalski Lambert Lindqvist Marino Mensah Moreau Nakamura
    Nguyen Novak Okafor Oliveira Park Patel Rossi Santos Schmidt Silva Tanaka Virtanen Weber Yilmaz
""")
_TRADES = _words("Bridge Coast Field Forge Harbor Lumen Marine Orchard Polar Quarry River Summit")
_KINDS = _words("Analytics Architects Clinics Engineering Foods Labs Logistics Media Motors Works")
_STREETS = _words("Canal Cedar Garden Hill Market Mill Park School Station Tower")
_PLACES = (
    ("5003", "Bergen", "Norway"),
    ("40121", "Bologna", "Italy"),
    ("550000", "Da Nang", "Vietnam"),
    ("9000", "Ghent", "Belgium"),
    ("35210", "Izmir", "Türkiye"),
    ("00233", "Kumasi", "Ghana"),
    ("69002", "Lyon", "France"),
    ("530-0001", "Osaka", "Japan"),
    ("4000-069", "Porto", "Portugal"),
    ("411001", "Pune", "India"),
    ("S2000", "Rosario", "Argentina"),
    ("33100", "Tampere", "Finland"),
)


def person(random: Random) -> Person:
    """Return somebody."""
    return Person(random.choice(_FIRST_NAMES), random.choice(_LAST_NAMES))


def company(random: Random) -> str:
    """Return the name of a company."""
    return f"{random.choice(_TRADES)} {random.choice(_KINDS)}"


def customer(random: Random) -> dict[str, Any]:
    """Return what a vendor knows of a customer, by the names of the columns."""
    somebody, buyer = person(random), company(random)
    return {
        "email": f"{somebody.local_part}@{buyer.split()[0].lower()}.example",
        "first_name": somebody.first_name,
        "last_name": somebody.last_name,
        "company_name": buyer,
        "phone": phone(random),
        **home(random),
    }


def home(random: Random) -> dict[str, str]:
    """Return a postal address, by the names of the columns."""
    postcode, city, country = random.choice(_PLACES)
    address = f"{random.randint(1, 120)} {random.choice(_STREETS)} Street"
    return {"address": address, "postcode": postcode, "city": city, "country": country}


def phone(random: Random) -> str:
    """Return one of the phone numbers that are kept free for fiction."""
    return f"+1 202 555 {random.randint(100, 199):04}"


def ip_address(random: Random) -> str:
    """Return one of the IP addresses that are kept free for examples."""
    return f"203.0.113.{random.randint(1, 254)}"


def license_key(random: Random) -> str:
    """Return a license key."""
    return "-".join(hexadecimal(random, 5).upper() for _ in range(5))


def hexadecimal(random: Random, length: int) -> str:
    """Return so many hexadecimal digits."""
    return f"{random.getrandbits(length * 4):0{length}x}"
