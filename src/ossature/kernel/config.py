"""Settings: typed groups that their rooms own, read once at boot, checked together.

A group declares fields; names of environment variables follow from the path, so nobody chooses them:
`class JobSettings(Settings, room="jobs")` with `lease_s: float = 30.0` reads `OSSATURE_JOBS_LEASE_S`.
Sources, the first that has a value wins: environment, `.env`, the TOML file that `OSSATURE_CONFIG_FILE` names
(default `ossature.toml`, one table per room), a folder of secret files (`OSSATURE_SECRETS_DIR`), the default.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, cast

from dotenv import dotenv_values
from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ossature.kernel.errors import Misconfigured
from ossature.kernel.redaction import redacted, secrets_in

PREFIX = "OSSATURE_"
_SECRET_LENGTH = 32
_SECRET_VARIETY = 8
_Layers = Sequence[tuple[str, Mapping[str, Any]]]
_LOCATORS = ("OSSATURE_CONFIG_FILE", "OSSATURE_SECRETS_DIR", "OSSATURE_ENV_FILE")


class Severity(StrEnum):
    """What a finding does to the start: an error prevents it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the settings: which one, what, and how to mend it."""

    setting: str
    wrong: str
    fix: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.severity:<7} {self.setting}: {self.wrong}. {self.fix}"


class SettingsRefused(Misconfigured):
    """One or more settings are wrong; every one is listed with what is wrong and how to mend it."""

    title = "Settings refused"

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        lines = "\n".join(f"  {finding}" for finding in findings)
        super().__init__(f"{len(findings)} settings need attention:\n{lines}")


class Settings(BaseSettings):
    """A group of settings. Subclass with `room="..."`; the empty room has names right after the prefix.

    open_fields: fields of type `dict[str, ...]` that gather every variable with a prefix, by the rest of its name in
    lower case: `{"keys": "KEY_"}` in room `hub` reads `OSSATURE_HUB_KEY_GROQ` as `keys["groq"]`.
    well_known: fields that are also read from a variable whose name others have fixed, such as
    OTEL_EXPORTER_OTLP_ENDPOINT; our own name for it wins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)  # type: ignore[assignment] # the plain part of SettingsConfigDict
    room: ClassVar[str] = ""
    open_fields: ClassVar[Mapping[str, str]] = {}
    well_known: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, room: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.room = room

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `Config.load` hands over: it reads every source itself, to know where a value came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of a field."""
        return f"{PREFIX}{cls.room.upper() + '_' if cls.room else ''}{field.upper()}"

    def findings(self, config: "Config") -> Iterable[Finding]:
        """What is wrong with this group in view of all others; empty when all is well."""
        del config
        return ()


class SourceAway(Misconfigured):
    """A place where settings are kept was asked, and gave no answer that can be used."""

    title = "Source of settings away"


class Source(Settings):
    """A group that says where further settings are kept, such as a Vault. They go before those of the environment."""

    def fetch(self) -> Mapping[str, str]:
        """Settings with their values, by their variables, with our prefix or without. Raises: SourceAway."""
        return {}


class MainSettings(Settings, room=""):
    """What the whole process is."""

    profile: Literal["development", "testing", "production"] = Field(
        default="development", description="How strict the house is about its settings."
    )
    var_dir: Path = Field(default=Path("var"), description="Folder of everything that is kept on this machine.")
    public_url: str = Field(
        default="http://127.0.0.1:8000", description="The address that customers see; problem types and links use it."
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""), description="At least 32 characters; signs sessions and cursors. Empty: made once."
    )
    workers: int = Field(default=4, ge=1, le=256, description="Web processes of `ossature serve`.")
    debug: bool = Field(default=False, description="Verbose errors on the console of the operator.")
    hosts: int = Field(default=1, ge=1, description="On how many machines this installation runs.")

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")  # paths are put behind it

    def findings(self, config: "Config") -> Iterator[Finding]:
        """The rules of a start in production."""
        del config
        secret = self.secret_key.get_secret_value()
        if secret and (len(secret) < _SECRET_LENGTH or len(set(secret)) < _SECRET_VARIETY):
            yield Finding(self.variable("secret_key"), "is short or too regular", "Use 32 random characters or more.")
        if self.profile != "production":
            return
        if not secret:
            yield Finding(
                self.variable("secret_key"),
                "is not set",
                "Set one: python -c 'import secrets; print(secrets.token_urlsafe(48))'",
            )
        if self.debug:
            yield Finding(self.variable("debug"), "is on in production", "Remove it.")
        if self.public_url == type(self).model_fields["public_url"].default:
            yield Finding(
                self.variable("public_url"), "is the default", "Set the address that customers use.", Severity.WARNING
            )
        elif not self.public_url.startswith("https://"):
            yield Finding(self.variable("public_url"), "is plain http in production", "Use https.")


@dataclass(frozen=True, slots=True)
class Value:
    """One setting as `ossature settings` shows it: never a secret's text."""

    name: str
    shown: str
    source: str
    description: str


Group = TypeVar("Group", bound=Settings)


class Config:
    """All settings of a process, by group: `config[JobSettings].lease_s`."""

    def __init__(self, groups: Iterable[Settings], sources: Mapping[str, str] | None = None) -> None:
        self._groups: dict[type[Settings], Settings] = {type(group): group for group in groups}
        self._sources = dict(sources or {})
        self._groups.setdefault(MainSettings, MainSettings())

    def __getitem__(self, group: type[Group]) -> Group:
        """The group as it was read at boot; a group that nobody read has its defaults."""
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = group()
        return cast("Group", found)

    @property
    def main(self) -> MainSettings:
        """Profile, folders and public address."""
        return self[MainSettings]

    def served_at(self, url: str) -> None:
        """Say where this process serves: problem types and links lead there, unless a public address was set."""
        if url and "public_url" not in self.main.model_fields_set:
            self._groups[MainSettings] = self.main.model_copy(update={"public_url": url})

    @classmethod
    def load(cls, groups: Iterable[type[Settings]], environ: Mapping[str, str] | None = None) -> "Config":
        """Read every source and check everything.

        Raises: SettingsRefused, with all that is wrong and not only the first.
        """
        config, findings = cls.examine(groups, environ)
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors:
            raise SettingsRefused(errors)
        return config

    @classmethod
    def examine(
        cls, groups: Iterable[type[Settings]], environ: Mapping[str, str] | None = None
    ) -> tuple["Config", list[Finding]]:
        """The settings, with everything that is wrong or doubtful about them; groups that are wrong have defaults."""
        environ = os.environ if environ is None else environ
        wanted: list[type[Settings]] = list(dict.fromkeys((MainSettings, *groups)))
        findings: list[Finding] = []
        layers = list(_layers(environ, findings))
        sources: dict[str, str] = {}
        fetched = dict(_fetched(wanted, layers, environ, findings))
        layers = [*fetched.items(), *layers]
        read: list[Settings] = []
        for group in wanted:
            values = {**dict(_well_known(group, environ, sources)), **_merge(group, layers, sources)}
            try:
                read.append(group.model_validate(values))
            except ValidationError as error:
                findings.extend(_explain(group, error))
                read.append(group.model_construct())
        findings.extend(_unknown(wanted, layers, but={environ.get("OSSATURE_SECRETS_DIR", ""), *fetched}))
        config = cls(read, sources)
        if not any(finding.severity is Severity.ERROR for finding in findings):
            for group_read in read:
                findings.extend(group_read.findings(config))
        return config, findings

    def secrets(self) -> Iterator[str]:
        """The text of every secret setting, and of passwords inside of URLs: what logs must never show."""
        for group in self._groups.values():
            for name in type(group).model_fields:
                yield from secrets_in(getattr(group, name))

    def values(self) -> Iterator[Value]:
        """Every setting with its source, secrets redacted."""
        for group in self._groups.values():
            for name, field in type(group).model_fields.items():
                variable = group.variable(name)
                source = self._sources.get(variable, "default")
                yield Value(variable, redacted(getattr(group, name)), source, field.description or "")


def _layers(environ: Mapping[str, str], findings: list[Finding]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sources, strongest first: (its name, variable -> value). Notes in `findings` which of them cannot be read."""
    yield "environment", {name.upper(): value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    for locator, default, read in (
        ("OSSATURE_ENV_FILE", ".env", _read_env),
        ("OSSATURE_CONFIG_FILE", "ossature.toml", _read_toml),
        ("OSSATURE_SECRETS_DIR", "", _read_secrets),
    ):
        place = environ.get(locator, default)
        if not place or (locator not in environ and not Path(place).is_file()):
            continue
        try:
            yield place, read(Path(place))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else type(error).__name__  # what it holds may be secret
            findings.append(Finding(locator, f"leads to {place!r}, which cannot be read: {why}", "Mend or remove it."))


def _fetched(
    groups: Sequence[type[Settings]], layers: _Layers, environ: Mapping[str, str], findings: list[Finding]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What the sources among these groups keep, by their rooms. Notes in `findings` which of them is away."""
    for group in groups:
        if not issubclass(group, Source):
            continue
        try:
            kept = group.model_validate({**dict(_well_known(group, environ, {})), **_merge(group, layers, {})}).fetch()
        except ValidationError:
            continue  # explained where all groups are read
        except SourceAway as away:
            fix = "What stands in the environment and in files holds meanwhile."
            findings.append(Finding(f"{PREFIX}{group.room.upper()}", f"is away: {away}", fix, Severity.WARNING))
            continue
        yield group.room, {f"{PREFIX}{name.upper().removeprefix(PREFIX)}": value for name, value in kept.items()}


def _read_env(file: Path) -> Mapping[str, Any]:
    with file.open(encoding="utf-8") as stream:
        return {name.upper(): value for name, value in dotenv_values(stream=stream).items() if value is not None}


def _read_toml(file: Path) -> Mapping[str, Any]:
    return dict(_flat(tomllib.loads(file.read_text(encoding="utf-8"))))


def _read_secrets(folder: Path) -> Mapping[str, Any]:
    files = (path for path in sorted(folder.iterdir()) if path.is_file())
    return {f"{PREFIX}{path.name.upper().removeprefix(PREFIX)}": path.read_text().strip() for path in files}


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A TOML document as variables: `[jobs] lease_s = 3` is OSSATURE_JOBS_LEASE_S."""
    for key, value in document.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                yield f"{PREFIX}{key.upper()}_{inner.upper()}", inner_value
        else:
            yield f"{PREFIX}{key.upper()}", value


def _merge(group: type[Settings], layers: _Layers, sources: dict[str, str]) -> dict[str, Any]:
    """The values of one group; notes in `sources` where each came from."""
    values: dict[str, Any] = {}
    for name in group.model_fields:
        variable = group.variable(name)
        for source, layer in layers:
            if variable in layer:
                values[name] = _decoded(group, name, layer[variable])
                sources[variable] = source
                break
    for name, prefix in group.open_fields.items():
        start = group.variable(prefix)
        gathered: dict[str, Any] = {}
        for source, layer in reversed(layers):
            for variable, value in layer.items():
                if variable.startswith(start) and variable != start:
                    gathered[variable[len(start) :].lower()] = value
                    sources[group.variable(name)] = source
        if gathered:
            values[name] = {**gathered, **values.get(name, {})}
    return values


def _well_known(
    group: type[Settings], environ: Mapping[str, str], sources: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Values under names that others have fixed."""
    for name, variable in group.well_known.items():
        if environ.get(variable):
            sources[group.variable(name)] = f"environment ({variable})"
            yield name, environ[variable]


def _decoded(group: type[Settings], name: str, value: Any) -> Any:  # noqa: ANN401 - any TOML or text value
    """Text for a list is split at commas, text that begins with a brace is JSON; the validator judges the rest."""
    annotation = str(group.model_fields[name].annotation)
    if not isinstance(value, str):
        return value
    if annotation.startswith(("list", "tuple", "frozenset", "typing.Sequence")):
        return [part.strip() for part in value.split(",") if part.strip()]
    if annotation.startswith("dict") and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _explain(group: type[Settings], error: ValidationError) -> Iterator[Finding]:
    for one in error.errors():
        field = str(one["loc"][0]) if one["loc"] else ""
        described = group.model_fields.get(field)
        given = (
            f" (given: {redacted(one.get('input'))!r})"
            if described and "Secret" not in str(described.annotation)
            else ""
        )
        fix = described.description if described and described.description else "See the settings reference."
        yield Finding(group.variable(field), f"{one['msg']}{given}", fix)


def _unknown(
    groups: Sequence[type[Settings]], layers: Iterable[tuple[str, Mapping[str, Any]]], *, but: Collection[str]
) -> Iterator[Finding]:
    """Names with our prefix that no group reads: a typing error would otherwise be silently ignored.

    but: sources in which there may be anything: a folder of secrets often serves several programs.
    """
    known = {group.variable(name) for group in groups for name in group.model_fields}
    known |= {name for group in groups for name in group.well_known.values()}
    starts = tuple(group.variable(prefix) for group in groups for prefix in group.open_fields.values())
    for source, layer in layers:
        for name in sorted(layer) if source not in but else ():
            if not name.startswith(PREFIX) or name in known or name in _LOCATORS or name.startswith(starts):
                continue
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"Did you mean {near[0]}?" if near else "Remove it; `ossature settings` lists the names."
            yield Finding(name, f"is not a setting (in {source})", fix, Severity.WARNING)


def environment_of_child(**variables: str) -> dict[str, str]:
    """The environment for a child process of ours: this process's own, with these variables added."""
    return {**os.environ, **variables}
