"""All routes of predict."""

from fastapi import APIRouter

from ossature.services.predict.api import matches, running

router = APIRouter()
for part in (matches, running):
    router.include_router(part.router)
