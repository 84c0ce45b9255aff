/**
 * The alerts as they change, by server-sent events read with fetch (an EventSource cannot send a token).
 *
 * A stream that says nothing for two heartbeats is taken for lost and opened again after the last event that came.
 */
import { createParser } from "../vendor/eventsource-parser.js";
import { batch, computed, effect, signal } from "./html.js";
import { refused, session, token } from "./sign_in.js";
import { now } from "./words.js";

const SILENT_MS = 35_000;
/** A page that comes back to life does not wait so long: one heartbeat and a little more. */
const SILENT_AWAKE_MS = 20_000;
const LONGEST_WAIT_S = 8;

/** Every alert that came, by id. */
export const alerts = signal(new Map());
/** `state`: "connecting", "live", "lost"; `heardAt`: until when what is shown was so, in ms since 1970. */
export const connection = signal({ state: "connecting", heardAt: 0, why: "" });
/** The state as it is by the time of day: what was not confirmed for two heartbeats is "lost", whatever timers say. */
export const standing = computed(() => {
  const { state, heardAt } = connection.value;
  return state === "live" && now.value - heardAt > SILENT_MS ? "lost" : state;
});

let lastEventId = "";
let running = null;
/** The stream that is open: `heardAt`, `end()`. */
let stream = null;
/** After a reset, the alerts that came anew until all of them have. */
let still = null;
const listeners = new Set();

/** Call `listener(before, after)` for every change of an alert; without `after` it is not to be seen any more. */
export function onChange(listener) {
  listeners.add(listener);
}

/** Note an alert as an answer showed it. One that the list does not have is not the list's: it would stay there. */
export function noteAlert(alert) {
  if (alerts.value.has(alert.alertId)) note(alert);
}

function note(alert) {
  const before = alerts.value.get(alert.alertId);
  if (before?.etag === alert.etag) return;
  alerts.value = new Map(alerts.value).set(alert.alertId, alert);
  for (const each of listeners) each(before, alert);
}

/** Keep the stream open as long as somebody is signed in. */
export function watch() {
  effect(() => {
    const wanted = session.value.state === "in";
    if (wanted && !running) {
      running = new AbortController();
      keep(running.signal);
    } else if (!wanted && running) {
      running.abort();
      running = null;
      lost("");
    }
  });
  addEventListener("online", woken);
  document.addEventListener("visibilitychange", () => document.hidden || woken());
}

let wake = null;

/** A phone that wakes has no time to wait for the next try, nor for the end of a stream that died while it slept. */
function woken() {
  now.value = Date.now();
  if (stream && now.value - stream.heardAt > SILENT_AWAKE_MS) stream.end();
  wake?.();
}

async function keep(ended) {
  for (let tries = 0; !ended.aborted; tries++) {
    const heard = await once(ended);
    if (ended.aborted) return;
    if (heard) tries = 0;
    const seconds = Math.min(LONGEST_WAIT_S, 0.5 * 2 ** tries) * (0.75 + Math.random() / 2);
    await new Promise((done) => {
      wake = done;
      setTimeout(done, seconds * 1000);
    });
  }
}

/** One stream, to its end. Returns whether anything was heard. */
async function once(ended) {
  const silence = new AbortController();
  let timer;
  let heard = false;
  const own = { heardAt: 0, end: () => silence.abort() };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(own.end, SILENT_MS);
    own.heardAt = Date.now();
  };
  wait();
  stream = own;
  try {
    const bearer = await token();
    if (!bearer) return false;
    const headers = { accept: "text/event-stream", authorization: `Bearer ${bearer}` };
    if (lastEventId) headers["last-event-id"] = lastEventId;
    const signal = AbortSignal.any([ended, silence.signal]);
    const answer = await fetch("/v1/alerts:watch", { headers, cache: "no-store", signal });
    if (answer.status === 401) await refused();
    if (!answer.ok) {
      lost((await answer.json().catch(() => ({}))).detail ?? "");
      return false;
    }
    await read(answer.body, () => {
      heard = true;
      wait();
    });
  } catch {
    if (!ended.aborted) lost("");
  } finally {
    clearTimeout(timer);
  }
  return heard;
}

async function read(body, hear) {
  let problem = null;
  let current = false;
  const parser = createParser({
    onEvent(event) {
      if (event.event === "problem") problem = JSON.parse(event.data);
      else if (event.data) current = take(event) || current;
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of chunks(body)) {
    hear();
    batch(() => {
      parser.feed(decoder.decode(chunk, { stream: true }));
      // Before the first event nobody knows yet whether what is shown is so.
      if (current) connection.value = { state: "live", heardAt: Date.now(), why: "" };
    });
    if (problem) break;
  }
  if (problem?.status === 401) await refused();
  // A stream that the service ends is opened again at once; only a refusal is worth telling.
  if (problem) lost(problem.detail ?? "");
}

async function* chunks(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Take an event. Returns whether what is shown is so after it. */
function take(event) {
  const { alert, reset } = JSON.parse(event.data);
  if (event.id) lastEventId = event.id;
  if (reset) still = new Set();
  else if (alert) {
    still?.add(alert.alertId);
    note(alert);
  } else if (still) {
    forgetOthers(still);
    still = null;
  }
  return !reset;
}

function forgetOthers(kept) {
  const gone = [...alerts.value.values()].filter((each) => !kept.has(each.alertId));
  alerts.value = new Map([...alerts.value].filter(([id]) => kept.has(id)));
  for (const each of gone) for (const listener of listeners) listener(each);
}

function lost(why) {
  connection.value = { ...connection.value, state: "lost", why };
}
