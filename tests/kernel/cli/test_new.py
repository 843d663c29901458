"""`ossature new provider`: where the file goes, and how it is listed."""

from pathlib import Path

import pytest

from ossature.kernel.cli.new import AlreadyThere, NameRefused, new_provider

LISTED = '''"""Every provider, by hand."""

from ossature.kernel.outbound.provider import Provider
from ossature.services.shop.providers.geo import photon
from ossature.services.shop.providers.weather import met_norway, open_meteo

PROVIDERS: tuple[Provider, ...] = (
    met_norway.provider,
    open_meteo.provider,
    photon.provider,
)
'''


@pytest.fixture
def providers(tmp_path: Path) -> Path:
    folder = tmp_path / "src/ossature/services/shop/providers"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(LISTED)
    return folder


def test_a_category_is_a_folder_and_its_import_is_shared(providers: Path, tmp_path: Path) -> None:
    written = new_provider(tmp_path, "shop", "weather/acme_weather")
    assert written[0] == providers / "weather" / "acme_weather.py"
    listed = (providers / "__init__.py").read_text()
    assert "providers.weather import acme_weather, met_norway, open_meteo\n" in listed
    assert listed.endswith("    acme_weather.provider,\n)\n")
    assert "shop.providers.weather import acme_weather" in written[1].read_text()


def test_a_new_category_gets_an_import_in_its_place(providers: Path, tmp_path: Path) -> None:
    new_provider(tmp_path, "shop", "news/acme_news")
    lines = (providers / "__init__.py").read_text().splitlines()
    imports = [line for line in lines if line.startswith("from ")]
    assert imports == sorted(imports)
    assert "from ossature.services.shop.providers.news import acme_news" in imports
    assert (providers / "news" / "__init__.py").read_text() == ""


def test_without_a_category_it_lies_beside_the_list(providers: Path, tmp_path: Path) -> None:
    assert new_provider(tmp_path, "shop", "acme")[0] == providers / "acme.py"
    assert "from ossature.services.shop.providers import acme\n" in (providers / "__init__.py").read_text()


@pytest.mark.parametrize("name", ["../acme", "weather/../acme", "a/b/c", "/acme", "Weather/acme", "weather/"])
def test_a_name_leads_nowhere_else(providers: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(NameRefused):
        new_provider(tmp_path, "shop", name)
    assert [each.name for each in providers.iterdir()] == ["__init__.py"]


def test_what_is_there_is_not_written_over(providers: Path, tmp_path: Path) -> None:
    new_provider(tmp_path, "shop", "weather/acme_weather")
    before = (providers / "__init__.py").read_text()
    with pytest.raises(AlreadyThere):
        new_provider(tmp_path, "shop", "weather/acme_weather")
    assert (providers / "__init__.py").read_text() == before
