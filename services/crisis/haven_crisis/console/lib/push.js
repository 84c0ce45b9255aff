/** Web Push: this browser as one of the responder's channels (RFC 8030, RFC 8291). */
import { worker } from "./calling.js";
import { config } from "./settings.js";

/** Ask the browser for a subscription, as the contract has it. Raises Error with a sentence. */
export async function subscribe() {
  const shown = await worker();
  if (!shown?.pushManager) throw new Error("This browser takes no notifications from outside.");
  if ((await Notification.requestPermission()) !== "granted")
    throw new Error("The browser does not permit notifications. Change that in its settings of this page.");
  let made;
  try {
    made = await shown.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: config.webPushKey });
  } catch {
    throw new Error("The browser could not be subscribed to notifications. Try again, or use another channel.");
  }
  const { endpoint, keys } = made.toJSON();
  return { endpoint, p256dh: keys.p256dh, auth: keys.auth };
}
