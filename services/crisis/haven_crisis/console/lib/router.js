/** Which view is shown: the part of the address after the hash, which no server ever sees. */
import { signal } from "./html.js";

export const route = signal(parse());

addEventListener("hashchange", () => (route.value = parse()));

/** Show a view; `then` is called once it is there. */
export function go(path, then) {
  if (then) addEventListener("hashchange", then, { once: true });
  location.hash = `#/${path}`;
}

function parse() {
  const [name = "", id = ""] = location.hash.replace(/^#\/?/, "").split("/");
  return { name: name || "alerts", id: decodeURIComponent(id) };
}
