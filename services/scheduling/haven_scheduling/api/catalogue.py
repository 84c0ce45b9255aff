"""The program's catalogue."""

from __future__ import annotations

from haven.scheduling.v1 import groups_pb2 as pb

from haven_kit.call import Call
from haven_scheduling import facts
from haven_scheduling.api.base import Base


class CatalogueApi(Base):
    """The program's catalogue."""

    async def get_catalogue(self, _call: Call, _request: pb.GetCatalogueRequest) -> pb.Catalogue:
        """The program's tracks and words."""
        return facts.catalogue()
