"""The intake service: `python -m haven_intake` serves, `python -m haven_intake migrate` migrates."""

from haven_intake import facts
from haven_intake.api import apis
from haven_intake.reactions import reactions
from haven_intake.settings import IntakeSettings
from haven_intake.workers import workers
from haven_kit.service import Parts, Service, Spec, main


def build(parts: Parts[IntakeSettings]) -> Service:
    """Wire the service."""
    facts.load()
    return Service(apis=apis(parts), reactions=reactions(parts), workers=workers(parts))


SPEC = Spec(name="intake", settings=IntakeSettings, build=build, calls=("crisis",))

if __name__ == "__main__":
    main(SPEC)
