/**
 * Shows notifications, pushed or asked for by the page, and opens the console. Keeps nothing, answers no requests.
 *
 * A pushed page brings its link, short-lived and for this responder alone: with it, "Acknowledge" takes the alert by
 * one tap while the console is closed. A notification says that there is an alert, and nothing else.
 */
const BODY = {
  waiting: "Open the console to take it.",
  yours: "You have it. Record contact in time.",
  taken: "Another responder has taken it.",
  over: "It is closed.",
  failed: "It is not known whether you have it. Open the console.",
};

const SECONDS = 8;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("push", (event) => event.waitUntil(pushed(event.data?.json() ?? {})));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { data } = event.notification;
  event.waitUntil(event.action === "acknowledge" ? acknowledge(event.notification) : open(data?.hash ?? ""));
});

function pushed({ title = "Haven", link = "", alert_id: id = "", code = "" }) {
  if (code) return self.registration.showNotification(title, { tag: "code", requireInteraction: true });
  return show(title, BODY.waiting, { hash: id && `#/alerts/${id}`, link }, [
    { action: "acknowledge", title: "Acknowledge" },
  ]);
}

function show(title, body, data, actions = []) {
  const tag = data.hash.split("/").pop();
  return self.registration.showNotification(title, {
    body,
    tag,
    data,
    actions,
    renotify: true,
    requireInteraction: true,
  });
}

/** Open the link and tap, as a person would; then say what came of it. */
async function acknowledge({ title, data }) {
  let state = "failed";
  try {
    const headers = { accept: "application/json" };
    const address = new URL(data.link).pathname;
    const ask = async (how) => {
      const signal = AbortSignal.timeout(SECONDS * 1000);
      return (await fetch(address, { headers, cache: "no-store", signal, ...how })).json();
    };
    const opened = await ask({});
    state = opened.state;
    if (opened.tap) state = (await ask({ method: "POST", body: new URLSearchParams({ tap: opened.tap }) })).state;
  } catch {
    state = "failed";
  }
  return show(title, BODY[state] ?? BODY.failed, data);
}

async function open(hash) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const console = windows.find((each) => each.url.startsWith(self.registration.scope));
  if (!console) return self.clients.openWindow(self.registration.scope + hash);
  console.postMessage({ open: hash });
  return console.focus();
}
