"""The scheduling service: `python -m haven_scheduling` serves, `python -m haven_scheduling migrate` migrates."""

from haven_kit.service import Parts, Service, Spec, main
from haven_scheduling import facts
from haven_scheduling.api import apis
from haven_scheduling.reactions import reactions
from haven_scheduling.settings import SchedulingSettings
from haven_scheduling.workers import workers


def build(parts: Parts[SchedulingSettings]) -> Service:
    """Wire the service. It calls no other."""
    facts.load()
    return Service(apis=apis(parts), reactions=reactions(), workers=workers(parts))


SPEC = Spec(name="scheduling", settings=SchedulingSettings, build=build)

if __name__ == "__main__":
    main(SPEC)
