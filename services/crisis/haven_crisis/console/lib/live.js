/**
 * The alerts as they change, by server-sent events read with fetch (an EventSource cannot send a token).
 *
 * A stream that says nothing for two heartbeats is taken for lost and opened again after the last event that came.
 */
import { createParser } from "../vendor/eventsource-parser.js";
import { batch, effect, signal } from "./html.js";
import { refused, session, token } from "./sign_in.js";

const SILENT_S = 35;
const LONGEST_WAIT_S = 8;

/** Every alert that came, by id. */
export const alerts = signal(new Map());
/** `state`: "connecting", "live", "lost"; `heardAt`: when the service last said anything, in ms since 1970. */
export const connection = signal({ state: "connecting", heardAt: 0, why: "" });

let lastEventId = "";
let running = null;
const listeners = new Set();

/** Call `listener(before, after)` for every change of an alert. */
export function onChange(listener) {
  listeners.add(listener);
}

/** Note an alert as an answer to a command showed it. */
export function noteAlert(alert) {
  const before = alerts.value.get(alert.alertId);
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
      lost("You are signed out.");
    }
  });
  // A phone that wakes has no time to wait for the next try.
  addEventListener("online", () => wake?.());
  document.addEventListener("visibilitychange", () => document.hidden || wake?.());
}

let wake = null;

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
  const hear = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENT_S * 1000);
    connection.value = { state: "live", heardAt: Date.now(), why: "" };
  };
  timer = setTimeout(() => silence.abort(), SILENT_S * 1000);
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
    await read(answer.body, hear);
    return true;
  } catch {
    lost("");
    return false;
  } finally {
    clearTimeout(timer);
  }
}

async function read(body, hear) {
  let problem = null;
  const parser = createParser({
    onEvent(event) {
      if (event.event === "problem") problem = JSON.parse(event.data);
      else if (event.data) take(event);
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of chunks(body)) {
    hear();
    batch(() => parser.feed(decoder.decode(chunk, { stream: true })));
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

function take(event) {
  const { alert } = JSON.parse(event.data);
  if (event.id) lastEventId = event.id;
  if (alert && alerts.value.get(alert.alertId)?.etag !== alert.etag) noteAlert(alert);
}

function lost(why) {
  connection.value = { ...connection.value, state: "lost", why };
}
