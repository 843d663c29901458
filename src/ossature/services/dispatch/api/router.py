"""All routes of dispatch."""

from fastapi import APIRouter

from ossature.services.dispatch.api import bookings, fleet, imports, places, plans

router = APIRouter()
for part in (bookings, imports, places, fleet, plans):
    router.include_router(part.router)
