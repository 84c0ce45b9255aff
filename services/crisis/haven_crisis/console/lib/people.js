/** Who is who among responders, as the on-call plan tells it. */
import { effect, signal } from "./html.js";
import { all, get, post } from "./api.js";
import { session } from "./sign_in.js";

/** Names by the subject of their sign-in. */
export const names = signal({});
/** Who has which rotation now, and what would keep a signal from reaching a human. */
export const onCall = signal(null);

const EVERY_MS = 60_000;
const PLANNERS = ["administrator", "on_call_responder"];

/** Note names by subject. */
export function learn(found = {}) {
  names.value = { ...names.value, ...found };
}

/** Read who is on call now. Raises Problem. */
export async function readOnCall() {
  onCall.value = await get("/v1/on-call/now");
  learnFrom(onCall.value.duties);
  return onCall.value;
}

/** Keep names as fresh as the plan: those on call now, and those whom the policies page. */
export function learnNames() {
  const look = () => session.value.state === "in" && readOnCall().catch(() => {});
  effect(() => {
    const { state, roles } = session.value;
    if (state !== "in") return;
    look();
    if (roles.some((each) => PLANNERS.includes(each))) learnFromPolicies().catch(() => {});
  });
  setInterval(look, EVERY_MS);
}

async function learnFromPolicies() {
  for (const policy of await all("/v1/on-call/policies", "policies")) {
    const { pages } = await post("/v1/on-call/policies:simulate", { policy });
    learnFrom(pages);
  }
}

function learnFrom(found) {
  learn(
    Object.fromEntries(
      found.filter((each) => each.responderName).map((each) => [each.responderId, each.responderName]),
    ),
  );
}

/** "You", a name, or nothing. */
export function knownName(id) {
  if (!id) return "";
  return id === session.value.id ? "You" : (names.value[id] ?? "");
}

/** "You", a name, or that it is a colleague. */
export function nameOf(id) {
  return id && (knownName(id) || "A colleague");
}
