/**
 * Calls the responder: a sound, a notification and a screen reader's voice for an alert that waits for an answer.
 *
 * Nothing of the person is in any of them. The sound goes on until somebody has taken the alert, or it is silenced.
 */
import { effect, signal } from "./html.js";
import { alerts, onChange } from "./live.js";
import { sayAtOnce } from "./parts.js";
import { device } from "./settings.js";
import { SEVERITY } from "./words.js";

const EVERY_MS = 5000;
const WAITS = new Set(["ALERT_STATE_RAISED", "ALERT_STATE_PAGED"]);

/** Alerts, by id, whose sound was silenced here. */
export const silenced = signal(new Set());
/** Browsers let a page sound only after it was touched; true while this one has not been. */
export const needsTouch = signal(false);

let audio = null;
const sounds = () => audio?.state === "running";

export const waits = (alert) => WAITS.has(alert.state);

/** Begin to listen for alerts. */
export function ring() {
  onChange((before, after) => {
    if (!after || !waits(after)) return clearNotification(after ?? before);
    if (before && waits(before) && before.stage === after.stage && before.severity === after.severity) return undefined;
    silenced.value = new Set([...silenced.value].filter((id) => id !== after.alertId));
    sayAtOnce(`${after.drill ? "Drill. " : ""}Alert waiting for an answer, ${SEVERITY[after.severity] ?? ""}.`);
    if (device.value.sound) sound();
    return show(after);
  });
  setInterval(() => {
    if (
      device.value.sound &&
      [...alerts.value.values()].some((each) => waits(each) && !silenced.value.has(each.alertId))
    )
      sound();
  }, EVERY_MS);
  effect(() => {
    needsTouch.value = device.value.sound && !sounds();
  });
  for (const touch of ["pointerdown", "keydown"])
    addEventListener(touch, () => device.value.sound && !sounds() && wake());
  // A telephone takes the sound away for a call of its own, or while it sleeps, and may give it back untouched.
  document.addEventListener("visibilitychange", () => !document.hidden && audio && device.value.sound && wake());
  navigator.serviceWorker?.addEventListener("message", ({ data }) => data.open && (location.hash = data.open));
}

/** Let this page sound. To be called when something is tapped. */
export async function wake() {
  if (!audio) {
    audio = new AudioContext();
    audio.onstatechange = () => (needsTouch.value = device.value.sound && !sounds());
  }
  // Where the browser refuses, the hint that asks for a tap stays.
  await audio.resume().catch(() => {});
  needsTouch.value = !sounds();
}

/** Two rising tones, clear of a room's noise without being shrill. */
export function sound() {
  navigator.vibrate?.([300, 150, 300]);
  if (!sounds()) {
    needsTouch.value = true;
    return;
  }
  [660, 880, 660, 880].forEach((pitch, index) => tone(pitch, index * 0.28));
}

function tone(pitch, after) {
  const start = audio.currentTime + after;
  const oscillator = new OscillatorNode(audio, { frequency: pitch, type: "triangle" });
  const volume = new GainNode(audio, { gain: 0 });
  volume.gain.setTargetAtTime(0.5, start, 0.01);
  volume.gain.setTargetAtTime(0, start + 0.2, 0.02);
  oscillator.connect(volume).connect(audio.destination);
  oscillator.start(start);
  oscillator.stop(start + 0.3);
}

/** The worker that shows notifications, or null where the browser has none. */
export async function worker() {
  if (!navigator.serviceWorker) return null;
  worker.ready ??= registered();
  return worker.ready;
}

async function registered() {
  const policy = globalThis.trustedTypes?.createPolicy("haven-worker", { createScriptURL: () => "sw.js" });
  await navigator.serviceWorker.register(policy?.createScriptURL("") ?? "sw.js");
  return navigator.serviceWorker.ready;
}

async function show(alert) {
  if (!device.value.notifications || Notification.permission !== "granted") return;
  const shown = await worker();
  await shown?.showNotification(alert.drill ? "Haven: DRILL, crisis alert" : "Haven: crisis alert", {
    body: "Open the console to take it.",
    tag: alert.alertId,
    renotify: true,
    requireInteraction: true,
    data: { hash: `#/alerts/${alert.alertId}` },
  });
}

async function clearNotification(alert) {
  if (!device.value.notifications) return;
  const shown = await worker();
  for (const each of (await shown?.getNotifications({ tag: alert.alertId })) ?? []) each.close();
}
