/** Every view by the name in its address. */
import { html } from "../lib/html.js";
import { Alert } from "./alert.js";
import { Alerts } from "./alerts.js";
import { Device } from "./device.js";
import { Drill } from "./drill.js";
import { FollowUps } from "./follow_ups.js";
import { Keys, More, None } from "./more.js";
import { OnCall } from "./on_call.js";
import { Reviews } from "./reviews.js";

export const ADMINISTRATOR = "administrator";
const administrator = (roles) => roles.includes(ADMINISTRATOR);

function AlertOrList({ id }) {
  return id ? html`<${Alert} id=${id} />` : html`<${Alerts} />`;
}

/** `title`, what `show`s it, `for` which roles (all, unless said), `under` which entry of the navigation. */
export const VIEWS = {
  alerts: { title: "Alerts", show: AlertOrList },
  "follow-ups": { title: "Follow-ups", show: FollowUps },
  "on-call": { title: "On call", show: OnCall },
  more: { title: "More", show: More },
  drill: { title: "Drill", show: Drill, under: "more" },
  reviews: { title: "Break-glass reviews", show: Reviews, for: administrator, under: "more" },
  device: { title: "This device", show: Device, under: "more" },
  keys: { title: "Keys", show: Keys, under: "more" },
  none: { title: "", show: None },
};
export const NAV = ["alerts", "follow-ups", "on-call", "more"];
