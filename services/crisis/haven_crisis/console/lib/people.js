/** Who is who among responders: names of those on call, as the on-call list tells them. */
import { effect, signal } from "./html.js";
import { get } from "./api.js";
import { session } from "./sign_in.js";

/** Names by the subject of their sign-in. */
export const names = signal({});
/** Who has which rotation now, and what would keep a signal from reaching a human. */
export const onCall = signal(null);

const EVERY_MS = 60_000;

/** Read who is on call now. Raises Problem. */
export async function readOnCall() {
  const answer = await get("/v1/on-call/now");
  onCall.value = answer;
  names.value = {
    ...names.value,
    ...Object.fromEntries(answer.duties.filter((each) => each.responderName).map((each) => [each.responderId, each.responderName])),
  };
  return answer;
}

/** Keep names as fresh as the list of who is on call. */
export function learnNames() {
  const look = () => session.value.state === "in" && readOnCall().catch(() => {});
  effect(() => {
    if (session.value.state === "in") look();
  });
  setInterval(look, EVERY_MS);
}

/** "You", a name, or that it is a colleague. */
export function nameOf(id) {
  if (!id) return "";
  if (id === session.value.id) return "You";
  return names.value[id] ?? "A colleague";
}
