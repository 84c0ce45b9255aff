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

/** Whether these roles may see the on-call plan. */
export const isPlanner = (roles) => roles.some((each) => PLANNERS.includes(each));

/** Note names by subject. */
export function learn(found = {}) {
  names.value = { ...names.value, ...found };
}

/** Read who is on call now, `at` which time of this device. Raises Problem. */
export async function readOnCall() {
  const at = Date.now();
  const found = await get("/v1/on-call/now");
  if (at > (onCall.value?.at ?? 0)) onCall.value = { ...found, at };
  learnFrom(found.duties);
}

/** Keep names as fresh as the plan: those on call now, and those whom the policies page. */
export function learnNames() {
  let policiesRead = false;
  const look = async () => {
    const { state, roles } = session.peek();
    if (state !== "in") return;
    try {
      await readOnCall();
      if (policiesRead || !isPlanner(roles)) return;
      await learnFromPolicies();
      policiesRead = true;
    } catch {
      // What is known shows its age, and a minute later it is asked again.
    }
  };
  effect(() => {
    if (session.value.state === "in") look();
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

/** The name within a sentence: "you", a name, or nothing. */
export const nameWithin = (id) => (id && id === session.value.id ? "you" : knownName(id) || (id && "a colleague"));

/** Colleagues known by name, by id. */
export function colleagues() {
  return Object.fromEntries(Object.entries(names.value).filter(([id]) => id !== session.value.id));
}
