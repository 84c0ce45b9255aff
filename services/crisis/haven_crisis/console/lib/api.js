/** Calls of the service. Commands carry a key, so that one that is sent again is done once. */
import { refused, token } from "./sign_in.js";

const SECONDS = 10;
const TRIES = 3;

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

async function call(method, path, body) {
  const key = method === "GET" ? null : crypto.randomUUID();
  let renewed = false;
  for (let attempt = 1; ; attempt++) {
    const answer = await once(method, path, body, key);
    if (answer.ok) return answer.json();
    if (answer.status === 401 && !renewed) {
      renewed = true;
      if (await refused()) continue;
      throw new Problem({ status: 401, detail: "You are signed out. Sign in again; what you typed stays here." });
    }
    const again = [0, 502, 503, 504].includes(answer.status) && attempt < TRIES;
    if (!again) throw await problem(answer);
    await new Promise((done) => setTimeout(done, 400 * attempt));
  }
}

async function once(method, path, body, key) {
  const bearer = await token();
  if (!bearer) return { ok: false, status: 401 };
  const headers = { accept: "application/json", authorization: `Bearer ${bearer}` };
  if (key) headers["idempotency-key"] = key;
  if (body) headers["content-type"] = "application/json";
  const request = { method, headers, cache: "no-store", signal: AbortSignal.timeout(SECONDS * 1000) };
  if (body) request.body = JSON.stringify(body);
  try {
    return await fetch(path, request);
  } catch {
    return { ok: false, status: 0 };
  }
}

async function problem(answer) {
  if (!answer.status)
    return new Problem({ detail: "The service cannot be reached from here. What you typed stays here; try again." });
  try {
    return new Problem(await answer.json());
  } catch {
    return new Problem({ status: answer.status });
  }
}

function search(query) {
  const text = new URLSearchParams(query).toString();
  return text && `?${text}`;
}
