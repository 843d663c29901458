"""Tables of predict. Everything belongs to a tenant; facts, predictions, freezes and scores are only ever added."""

from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ossature.kernel import clock
from ossature.kernel.db.appendonly import APPEND_ONLY
from ossature.kernel.db.chain import Chained
from ossature.kernel.db.table import OUTLIVES_TENANT, Table, TenantOwned

_CHAMPION: Final = text("stage = 'champion'")
_EVIDENCE: Final = {**APPEND_ONLY, OUTLIVES_TENANT: "what was predicted, from which facts, stays provable"}


class _Owned(TenantOwned):
    id: Mapped[UUID] = mapped_column(primary_key=True, default=clock.new_id)


class CompetitionRow(_Owned, Table):
    """A division."""

    __tablename__ = "predict_competition"
    __table_args__ = (Index("ix_predict_competition_code", "tenant_id", "code", unique=True),)

    code: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20))
    country: Mapped[str] = mapped_column(String(20))
    sport: Mapped[str] = mapped_column(String(20))


class TeamRow(_Owned, Table):
    """A team, by its country: the same one after it went up or down."""

    __tablename__ = "predict_team"
    __table_args__ = (Index("ix_predict_team_name", "tenant_id", "country", "name", unique=True),)

    country: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(100))


class MatchRow(_Owned, Table):
    """A match as it is now; how it came to that stands in its observations. Names are repeated here for lists."""

    __tablename__ = "predict_match"
    __table_args__ = (
        Index("ix_predict_match_code", "tenant_id", "code", unique=True),
        Index("ix_predict_match_kickoff", "tenant_id", "kickoff_at", "id"),
        Index("ix_predict_match_status", "tenant_id", "status", "kickoff_at", "id"),
        Index("ix_predict_match_competition", "tenant_id", "competition", "kickoff_at", "id"),
    )

    competition_id: Mapped[UUID] = mapped_column(ForeignKey("predict_competition.id"))
    home_id: Mapped[UUID] = mapped_column(ForeignKey("predict_team.id"))
    away_id: Mapped[UUID] = mapped_column(ForeignKey("predict_team.id"))
    code: Mapped[str] = mapped_column(String(40))
    competition: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20))
    home: Mapped[str] = mapped_column(String(100))
    away: Mapped[str] = mapped_column(String(100))
    season: Mapped[str] = mapped_column(String(20))
    day: Mapped[date]
    kickoff_at: Mapped[datetime]
    kickoff_is_exact: Mapped[bool]
    neutral: Mapped[bool]
    status: Mapped[str] = mapped_column(String(20))
    home_goals: Mapped[int | None]
    away_goals: Mapped[int | None]
    half_home_goals: Mapped[int | None]
    half_away_goals: Mapped[int | None]
    revision: Mapped[int]
    simulated: Mapped[bool]
    changed_at: Mapped[datetime]


class ObservationRow(Table):
    """What a source said of a match, each time that it said something else."""

    __tablename__ = "predict_observation"
    __table_args__ = ({"info": _EVIDENCE},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    match_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(String(60))
    event_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    seen_basis: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(20))
    kickoff_at: Mapped[datetime]
    home_goals: Mapped[int | None]
    away_goals: Mapped[int | None]
    half_home_goals: Mapped[int | None]
    half_away_goals: Mapped[int | None]
    counts: Mapped[dict[str, Any]]
    payload_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class OddsRow(Table):
    """What a book quoted for one market of a match, each time that it quoted something else."""

    __tablename__ = "predict_odds"
    __table_args__ = ({"info": _EVIDENCE},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    match_id: Mapped[UUID] = mapped_column(primary_key=True)
    book: Mapped[str] = mapped_column(String(20), primary_key=True)
    market: Mapped[str] = mapped_column(String(20), primary_key=True)
    line: Mapped[float] = mapped_column(primary_key=True)
    phase: Mapped[str] = mapped_column(String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    prices: Mapped[list[Any]]
    event_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    seen_basis: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ModelVersionRow(_Owned, Table):
    """A model as it was learnt. One of each name is the champion: the database says so."""

    __tablename__ = "predict_model_version"
    __table_args__ = (
        Index(
            "uq_predict_model_version_champion",
            "tenant_id",
            "name",
            unique=True,
            sqlite_where=_CHAMPION,
            postgresql_where=_CHAMPION,
        ),
        Index("ix_predict_model_version_created_at", "tenant_id", "created_at", "id"),
    )

    name: Mapped[str] = mapped_column(String(40))
    version: Mapped[str] = mapped_column(String(12))
    stage: Mapped[str] = mapped_column(String(20))
    fitted_on: Mapped[date]
    trained_from: Mapped[date]
    trained_until: Mapped[date]
    rows: Mapped[int]
    artefact: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))


class PredictionRow(Chained, Table):
    """One link of a tenant's chain. The columns repeat what the body says, for queries; verification compares them."""

    __tablename__ = "predict_prediction"
    __table_args__ = (
        Index("ix_predict_prediction_id", "tenant_id", "id", unique=True),
        Index("ix_predict_prediction_match", "tenant_id", "match_id", "seq"),
        {"info": _EVIDENCE},
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[UUID] = mapped_column(default=clock.new_id)
    match_id: Mapped[UUID]
    model: Mapped[str] = mapped_column(String(40))
    model_version: Mapped[str] = mapped_column(String(12))
    trained_until: Mapped[str] = mapped_column(String(10))
    inputs: Mapped[str] = mapped_column(String(20))
    phase: Mapped[str] = mapped_column(String(20))
    as_of: Mapped[datetime]
    p_home: Mapped[float]
    p_draw: Mapped[float]
    p_away: Mapped[float]
    lam_home: Mapped[float | None]
    lam_away: Mapped[float | None]
    rho: Mapped[float | None]
    p_over_2_5: Mapped[float | None]
    p_btts: Mapped[float | None]
    abstained: Mapped[bool]
    reasons: Mapped[str] = mapped_column(String(200))
    inputs_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class FreezeRow(Table):
    """The official prediction of one model for one kick-off of a match."""

    __tablename__ = "predict_freeze"
    __table_args__ = ({"info": _EVIDENCE},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    match_id: Mapped[UUID] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(String(40), primary_key=True)
    kickoff_at: Mapped[datetime] = mapped_column(primary_key=True)
    prediction_seq: Mapped[int]
    frozen_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ScoreRow(Table):
    """What an official prediction was worth, once for each revision of the result."""

    __tablename__ = "predict_score"
    __table_args__ = (
        Index("ix_predict_score_match", "tenant_id", "match_id", "match_revision"),
        Index("ix_predict_score_bin", "tenant_id", "model", "bin"),
        {"info": _EVIDENCE},
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    prediction_seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    match_revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    match_id: Mapped[UUID]
    model: Mapped[str] = mapped_column(String(40))
    rps: Mapped[float]
    log_loss: Mapped[float]
    brier: Mapped[float]
    hit: Mapped[bool]
    bin: Mapped[int]
    market_rps: Mapped[float | None]
    reason: Mapped[str] = mapped_column(String(20))
    scored_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


TABLES: Final[tuple[type[Table], ...]] = (
    CompetitionRow,
    TeamRow,
    MatchRow,
    ObservationRow,
    OddsRow,
    ModelVersionRow,
    PredictionRow,
    FreezeRow,
    ScoreRow,
)
