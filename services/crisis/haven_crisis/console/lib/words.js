/** Contract words as people read them, and times. */
import { signal } from "./html.js";

/** The time of day, for ages. */
export const now = signal(Date.now());
setInterval(() => (now.value = Date.now()), 1000);

export const STATES = {
  ALERT_STATE_RAISED: "Raised, not yet paged",
  ALERT_STATE_PAGED: "Waiting for an answer",
  ALERT_STATE_ACKNOWLEDGED: "Taken",
  ALERT_STATE_CONTACTED: "In contact",
  ALERT_STATE_STABILISED: "Stabilised",
  ALERT_STATE_CLOSED: "Closed",
};
export const SEVERITIES = {
  SEVERITY_ELEVATED: "Elevated: a human today",
  SEVERITY_HIGH: "High: a human now",
  SEVERITY_IMMEDIATE: "Immediate: danger to life",
};
export const SEVERITY = { SEVERITY_ELEVATED: "Elevated", SEVERITY_HIGH: "High", SEVERITY_IMMEDIATE: "Immediate" };
export const WAYS = {
  phone: "By phone",
  video: "By video",
  in_session: "In the session",
  in_person: "In person",
  text: "By text",
};
export const WAY_KINDS = { phone: "Call", text: "Text", email: "Email", in_session: "In the session" };
export const RISKS = { RISK_LEVEL_LOW: "Low", RISK_LEVEL_MODERATE: "Moderate", RISK_LEVEL_HIGH: "High" };
export const DISPOSITIONS = {
  DISPOSITION_SUPPORTED: "Supported in the session or by call",
  DISPOSITION_SAFETY_PLAN_USED: "Safety plan used or changed together",
  DISPOSITION_CARE_TEAM_VISIT: "Care team sees them the same or next day",
  DISPOSITION_HIGHER_LEVEL_OF_CARE: "Referred to a higher level of care",
  DISPOSITION_MOBILE_CRISIS: "Handed over to a mobile crisis team or crisis centre",
  DISPOSITION_EMERGENCY_SERVICES: "Emergency services or emergency department",
  DISPOSITION_RAISED_BY_MISTAKE: "Raised by mistake, and made sure",
  DISPOSITION_DRILL: "Drill",
};
export const GROUNDS = {
  LEGAL_GROUND_CONSENT: "The person agreed",
  LEGAL_GROUND_TREATMENT: "Treatment by another provider",
  LEGAL_GROUND_INVOLVED_IN_CARE: "Involved in their care, no objection",
  LEGAL_GROUND_SERIOUS_THREAT: "Serious and imminent threat",
  LEGAL_GROUND_MEDICAL_EMERGENCY: "Medical emergency (substance-use treatment)",
  LEGAL_GROUND_REQUIRED_BY_LAW: "Required by law",
};
export const ENTRIES = {
  ENTRY_KIND_RAISED: "Called for help",
  ENTRY_KIND_SIGNAL_JOINED: "Called for help again",
  ENTRY_KIND_SIGNAL_WITHDRAWN: "Said it was a mistake",
  ENTRY_KIND_PAGED: "Page taken by the provider",
  ENTRY_KIND_PAGE_FAILED: "Page failed, next channel tried",
  ENTRY_KIND_ESCALATED: "Next step paged",
  ENTRY_KIND_ACKNOWLEDGED: "Taken",
  ENTRY_KIND_LEASE_EXPIRED: "Time ran out, paged again",
  ENTRY_KIND_REASSIGNED: "Handed to another responder",
  ENTRY_KIND_CONTACTED: "In contact",
  ENTRY_KIND_STABILISED: "Safe for now",
  ENTRY_KIND_SEVERITY_CHANGED: "Severity changed",
  ENTRY_KIND_BREAK_GLASS: "Opened by break-glass",
  ENTRY_KIND_CLOSED: "Closed",
  ENTRY_KIND_CONTACT_TRIED: "Contact tried, not reached",
  ENTRY_KIND_HAND_OVER_OFFERED: "Asked a colleague to take it over",
  ENTRY_KIND_HAND_OVER_ACCEPTED: "Taken over",
  ENTRY_KIND_HAND_OVER_DECLINED: "Cannot take it over",
  ENTRY_KIND_RESPONDER_ADDED: "One more responder paged",
  ENTRY_KIND_OBSERVER_JOINED: "Looks on",
  ENTRY_KIND_OBSERVER_LEFT: "Looks on no longer",
  ENTRY_KIND_LEASE_RENEWED: "Needs longer to reach them",
  ENTRY_KIND_CO_SIGNED: "Closing signed by a second clinician",
  ENTRY_KIND_CO_SIGNATURE_DECLINED: "Closing not signed",
  ENTRY_KIND_CLOSING_AMENDED: "Closing put right",
  ENTRY_KIND_DEBRIEFED: "Debriefed",
  ENTRY_KIND_FOLLOWED_UP: "Somebody looked in again",
};
export const PAGES = {
  PAGE_STATE_QUEUED: "Queued",
  PAGE_STATE_SENDING: "Being sent",
  PAGE_STATE_ACCEPTED: "Taken by the provider",
  PAGE_STATE_FAILED: "Failed",
  PAGE_STATE_UNKNOWN: "Unknown, sent again",
  PAGE_STATE_NOT_NEEDED: "Not needed any more",
  PAGE_STATE_DELIVERED: "Delivered",
};
/** A contract word that this release has no text for, made readable: ENTRY_KIND_DEBRIEF_DUE is "Debrief due". */
export function word(texts, name) {
  if (!name) return "";
  if (texts[name]) return texts[name];
  const known = Object.keys(texts)[0] ?? "";
  let prefix = 0;
  while (known[prefix] && known[prefix] === name[prefix]) prefix++;
  const rest = name
    .slice(known.lastIndexOf("_", prefix - 1) + 1 || 0)
    .replace(/_/g, " ")
    .toLowerCase();
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

/** How long ago, or how long until: "12 s", "4 min", "2 h 5 min", "3 days". */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(Math.abs(milliseconds) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

export function ago(stamp) {
  return span(now.value - Date.parse(stamp));
}

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const SHORT = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat([], { weekday: "short", month: "short", day: "numeric" });

/** The wall time here: "03:12:04"; with its day when that is not today. */
export function clock(stamp) {
  const at = new Date(stamp);
  return at.toDateString() === new Date().toDateString() ? CLOCK.format(at) : moment(stamp);
}

/** "Mon, Jan 5, 03:12". */
export function moment(stamp) {
  const at = new Date(stamp);
  return `${DAY.format(at)}, ${SHORT.format(at)}`;
}

/** "Mon, Jan 5, 03:12 to Mon, Jan 5, 11:12". */
export const stretch = ({ startsAt, endsAt }) => `${moment(startsAt)} to ${moment(endsAt)}`;

/** The zone that times are shown in. */
export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** What an input of type datetime-local holds for a time, in this device's zone. */
export function local(at) {
  const moved = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return moved.toISOString().slice(0, 16);
}

/** What a duration of the contract ("2.5s") is in milliseconds. */
export const duration = (text) => parseFloat(text) * 1000;
