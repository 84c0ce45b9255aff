"""What people read. Plain, calm, short; choice, never blame or hurry."""

from __future__ import annotations

HELP_IS_COMING = "Your message is with us. Someone from the team is being called now and will reach out to you."
CALL_AS_WELL = "If you can, please also call one of these numbers. They answer at any time."
HELP_FOR_OTHER = "Thank you. Someone from the team is being called now."
DRILL_STARTED = "Drill started. People are being paged, and every page says that it is a drill."
HOW_TO_WITHDRAW = "If you did not mean to send this, you can say so. Someone will still look in, briefly."
WITHDRAWN = "Thank you for telling us. Someone will still look in for a moment, to make sure you are well."
NONE_OPEN = "No call for help is open. You can ask for help at any time."
CALLING = "Your message is with us. Someone from the team is being called now."
COMING = "{name} has your message and will be with you soon."
COMING_UNNAMED = "Someone from the team has your message and will be with you soon."
IN_TOUCH = "You have been in touch with {name}. They stay with you until you both agree it is time to stop."
IN_TOUCH_UNNAMED = "You have been in touch with someone from the team. You can ask for help again at any time."


SYSTEM_REFUSED = "If somebody is in danger now, call the program's on-call line, 988 or 911."
FROM_SYSTEM = "From the system “{name}”."
UNIDENTIFIED = "Nobody here is linked with the name it gives, “{name}”: find out who it is."

NO_LOCATION = "Nobody has confirmed where the person is. Ask first."
OLD_LOCATION = "The place was confirmed more than an hour ago. Ask whether it still holds."
NO_PLAN = "There is no safety plan."
NO_CARD = "There is no card of the person; intake has not sent one yet."
PLAN_GAPS = "The safety plan says nothing yet under: {parts}."
PLAN_PARTS = (
    ("warning_signs", "Warning signs"),
    ("coping", "What I can do myself"),
    ("distractions", "People and places that distract"),
    ("people_to_ask", "People I can ask for help"),
    ("professionals", "Professionals and services"),
    ("safer_surroundings", "Making the surroundings safer"),
)
"""The six parts of a safety plan, in the order of its use: field of the contract, and heading."""
NO_CONTACTS = "No crisis contacts are named."
DANGER_AT_HOME = "Someone at home may be a danger. Ask whether it is safe to talk; tell nobody at home."
REPORTED_BY_FAMILY = "A partner or family member reported this. Tell them, and anybody at home, nothing of it."
NEVER_CONTACT = "At least one contact must never be told. They are marked."
DRILL_CAUTION = "This is a drill. It is about nobody, so no records are shown."
WITHDRAWN_CAUTION = "The person said that the last signal was a mistake. Make sure all the same."


def page_title(alerts: int, *, drill: bool) -> str:
    """What a page is headed with."""
    if alerts > 1:
        return f"Haven: {alerts} crisis alerts from one system"
    return "Haven: DRILL, crisis alert" if drill else "Haven: crisis alert"


def glass_broken_title(*, drill: bool) -> str:
    """What the privacy reviewer is told, with a link to the console's list."""
    mark = "DRILL, " if drill else ""
    return f"Haven: {mark}a record was opened in an emergency and waits for your review"
