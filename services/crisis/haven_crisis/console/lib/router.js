/** Which view is shown: the part of the address after the hash, which no server ever sees. */
import { signal } from "./html.js";

/** What an address names goes into the paths of calls, so it is an id or nothing. */
const ID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|new)$/i;

export const route = signal(parse());

addEventListener("hashchange", () => (route.value = parse()));

/** Show a view; `then` is called once it is there. */
export function go(path, then) {
  if (then) addEventListener("hashchange", then, { once: true });
  location.hash = `#/${path}`;
}

function parse() {
  const [name = "", id = ""] = location.hash.replace(/^#\/?/, "").split("/");
  return id && !ID.test(id) ? { name: "none", id: "" } : { name: name || "alerts", id };
}
