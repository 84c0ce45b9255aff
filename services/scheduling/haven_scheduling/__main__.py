"""`python -m haven_scheduling`: serves, or with `migrate` migrates."""

from haven_kit.server import Api
from haven_kit.service import Parts, Service, Spec, main
from haven_scheduling.api import FittingApi, SchedulingApi
from haven_scheduling.reactions import reactions
from haven_scheduling.settings import SchedulingSettings
from haven_scheduling.workers import workers


def build(parts: Parts[SchedulingSettings]) -> Service:
    """The service from its parts."""
    return Service(
        apis=[
            Api("haven.scheduling.v1.SchedulingService", SchedulingApi(parts)),
            Api("haven.scheduling.v1.FittingService", FittingApi(parts)),
        ],
        reactions=reactions(),
        workers=workers(parts.database),
    )


SPEC = Spec(name="scheduling", settings=SchedulingSettings, build=build)

if __name__ == "__main__":
    main(SPEC)
