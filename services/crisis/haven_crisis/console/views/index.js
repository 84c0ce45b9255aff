/** Every view by the name in its address. */
import { html } from "../lib/html.js";
import { Alert } from "./alert.js";
import { Alerts } from "./alerts.js";
import { Channels } from "./channels.js";
import { Deliveries } from "./deliveries.js";
import { Device } from "./device.js";
import { Drill } from "./drill.js";
import { FollowUps } from "./follow_ups.js";
import { Keys, More, None } from "./more.js";
import { OnCall } from "./on_call.js";
import { Reviews } from "./reviews.js";
import { Simulator } from "./simulator.js";

export const ADMINISTRATOR = "administrator";
const administrator = (roles) => roles.includes(ADMINISTRATOR);
const responder = (roles) => roles.includes("on_call_responder");
const planner = (roles) => administrator(roles) || responder(roles);

function AlertOrList({ id }) {
  return id
    ? html`
        <${Alert} id=${id} />
      `
    : html`
        <${Alerts} />
      `;
}

/** `title`, what `show`s it, `for` which roles (all, unless said), `under` which entry of the navigation. */
export const VIEWS = {
  alerts: { title: "Alerts", show: AlertOrList },
  "follow-ups": { title: "Follow-ups", show: FollowUps },
  "on-call": { title: "On call", show: OnCall },
  more: { title: "More", show: More },
  simulator: { title: "If nobody answers", show: Simulator, for: planner, under: "more" },
  drill: { title: "Drill", show: Drill, under: "more" },
  deliveries: { title: "How pages went", show: Deliveries, for: planner, under: "more" },
  channels: { title: "My channels", show: Channels, for: responder, under: "more" },
  reviews: { title: "Break-glass reviews", show: Reviews, for: administrator, under: "more" },
  device: { title: "This device", show: Device, under: "more" },
  keys: { title: "Keys", show: Keys, under: "more" },
  none: { title: "", show: None },
};
export const NAV = ["alerts", "follow-ups", "on-call", "more"];
