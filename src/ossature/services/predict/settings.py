"""Settings of predict."""

from pydantic import Field

from ossature.kernel.config import Settings


class PredictSettings(Settings, room="predict"):
    """How far ahead is predicted, when a prediction becomes official, and how often the model is fitted anew."""

    horizon_days: int = Field(default=7, ge=1, le=60, description="So many days ahead matches are predicted.")
    freeze_lead_s: float = Field(default=60, ge=0, le=86_400, description="So long before kick-off a row is official.")
    refit_days: int = Field(default=30, ge=1, le=366, description="So often the champion is fitted on all results.")
    price_time_limit_s: float = Field(default=300, gt=0, le=3600, description="Ratings, fit and forecasts of a round.")
