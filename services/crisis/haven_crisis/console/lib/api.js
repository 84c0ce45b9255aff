/** Calls of the service. Commands carry a key, so that one that is sent again is done once. */
import { refused, token } from "./sign_in.js";

const SECONDS = 10;
const TRIES = 3;
/** For so long a command without an answer is the same one when it is given again; later it is meant anew. */
const SAME_MS = 10 * 60_000;
const AWAY = "The service cannot be reached from here. Try again.";
const LOST =
  "The service cannot be reached from here, so it may or may not have been done. " +
  "What you typed stays here; look, then try again.";

/** What the service, or the way to it, answered instead. `violations`: [{field, rule, message}]. */
export class Problem extends Error {
  constructor({ status = 0, title = "", detail = "", rule = "", violations = [], type = "" }) {
    super(detail || title || "Something went wrong.");
    Object.assign(this, { status, rule, violations, kind: type.split("/").pop() });
  }
}

export const get = (path, query = {}) => call("GET", path + search(query));
export const post = (path, body = {}) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const del = (path) => call("DELETE", path);

/** All items of a list that comes in pages. */
export async function all(path, name, query = {}, pages = 10) {
  const found = [];
  let pageToken = "";
  for (let page = 0; page < pages; page++) {
    const answer = await get(path, { ...query, pageSize: 200, ...(pageToken && { pageToken }) });
    found.push(...answer[name]);
    pageToken = answer.nextPageToken;
    if (!pageToken) break;
  }
  return found;
}

/** Keys of commands whose answer was lost, by what was asked: `{key, at}`. In memory alone. */
const unanswered = new Map();

async function call(method, path, body) {
  if (method === "GET") return exchange(method, path, body, null);
  const asked = JSON.stringify([method, path, body]);
  const before = unanswered.get(asked);
  const key = before && Date.now() - before.at < SAME_MS ? before.key : crypto.randomUUID();
  try {
    const answer = await exchange(method, path, body, key);
    unanswered.delete(asked);
    return answer;
  } catch (problem) {
    if (problem.status === 0 || problem.status >= 500) unanswered.set(asked, { key, at: Date.now() });
    else unanswered.delete(asked);
    throw problem;
  }
}

async function exchange(method, path, body, key) {
  let renewed = false;
  for (let attempt = 1; ; attempt++) {
    const answer = await once(method, path, body, key);
    if (answer.ok) return answer.said;
    if (answer.status === 401) {
      if (!renewed && (await refused())) {
        renewed = true;
        continue;
      }
      throw new Problem({ status: 401, detail: "You are signed out. Sign in again; what you typed stays here." });
    }
    const again = [0, 502, 503, 504].includes(answer.status) && attempt < TRIES;
    if (!again) throw new Problem(answer.said ?? { status: answer.status, detail: key ? LOST : AWAY });
    await new Promise((done) => setTimeout(done, 400 * attempt));
  }
}

/** One try: `said` is what came as JSON. An answer that was cut off, or is none of the service's, is none. */
async function once(method, path, body, key) {
  const bearer = await token();
  if (!bearer) return { ok: false, status: 401 };
  const headers = { accept: "application/json", authorization: `Bearer ${bearer}` };
  if (key) headers["idempotency-key"] = key;
  if (body) headers["content-type"] = "application/json";
  const request = { method, headers, cache: "no-store", signal: AbortSignal.timeout(SECONDS * 1000) };
  if (body) request.body = JSON.stringify(body);
  let status = 0;
  try {
    const answer = await fetch(path, request);
    const text = await answer.text();
    status = answer.ok ? 0 : answer.status;
    return { ok: answer.ok, status: answer.status, said: JSON.parse(text) };
  } catch {
    return { ok: false, status };
  }
}

function search(query) {
  const text = new URLSearchParams(query).toString();
  return text && `?${text}`;
}
