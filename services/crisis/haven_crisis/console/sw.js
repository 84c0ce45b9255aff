/** Shows notifications, pushed or asked for by the page, and opens the console. Keeps nothing, fetches no pages. */
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data ?? {}));
});

async function open({ hash = "" }) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const console = windows.find((each) => each.url.startsWith(self.registration.scope));
  if (!console) return self.clients.openWindow(self.registration.scope + hash);
  console.postMessage({ open: hash });
  return console.focus();
}
