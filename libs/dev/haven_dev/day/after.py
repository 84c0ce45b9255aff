"""Steps 7 and 8: who has seen the data, and the trace of the call for help."""

from __future__ import annotations

from haven_dev.day.day import Day

SEEN = (
    "imported your referral",
    "read your charges",
    "called for help for you",
)


async def accesses(day: Day) -> None:
    """Step 7. The person opens "who has seen my data" and finds every access of this story."""
    person = day.made["person"]
    responder = day.second_responder.sub
    found = await day.rosa.eventually(f"/v1/people/{person}/accesses", _complete, page_size=200)
    sentences = [each["sentence"] for each in found["accesses"]]
    assert responder
    for sentence in sentences[:3]:
        day.say(sentence)
    day.say(f"… {len(sentences)} accesses in all, from {len({each['service'] for each in found['accesses']})} services")


def _complete(found: dict[str, list[dict[str, str]]]) -> bool:
    services = {each["service"] for each in found.get("accesses", [])}
    return {"intake", "scheduling", "sessions", "crisis", "billing"} <= services


async def trace(day: Day) -> None:
    """Step 8. One trace from the button to the page, through every process."""
    from haven_dev.day.trace import complete_trace

    for line in (await complete_trace(day)).splitlines():
        day.say(line)
