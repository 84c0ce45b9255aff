/** Every view by the name in its address. */
import { html } from "../lib/html.js";
import { Loaded } from "../lib/parts.js";
import { isPlanner } from "../lib/people.js";
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

function AlertOrList({ id }) {
  return id
    ? html`
        <${Alert} id=${id} />
      `
    : html`
        <${Alerts} />
      `;
}

/** A view whose files are fetched once it is opened, so that alerts never wait for editors. */
function later(fetched) {
  const load = async () => {
    try {
      return await fetched();
    } catch {
      throw new Error("This part of the console cannot be reached from here. Try again, or reload the page.");
    }
  };
  return (props) => html`
    <${Loaded} load=${load}>
      ${(Shown) => html`
        <${Shown} ...${props} />
      `}
    <//>
  `;
}

const Policies = later(async () => (await import("./policies.js")).Policies);
const Rotations = later(async () => (await import("./rotations.js")).Rotations);

/** `title`, what `show`s it, `for` which roles (all, unless said), `under` which entry of the navigation. */
export const VIEWS = {
  alerts: { title: "Alerts", show: AlertOrList },
  "follow-ups": { title: "Follow-ups", show: FollowUps },
  "on-call": { title: "On call", show: OnCall },
  more: { title: "More", show: More },
  rotations: { title: "Rotations", show: Rotations, for: isPlanner, under: "more" },
  policies: { title: "Escalation policies", show: Policies, for: isPlanner, under: "more" },
  simulator: { title: "If nobody answers", show: Simulator, for: isPlanner, under: "more" },
  drill: { title: "Drill", show: Drill, under: "more" },
  deliveries: { title: "How pages went", show: Deliveries, for: isPlanner, under: "more" },
  channels: { title: "My channels", show: Channels, for: responder, under: "more" },
  reviews: { title: "Break-glass reviews", show: Reviews, for: administrator, under: "more" },
  device: { title: "This device", show: Device, under: "more" },
  keys: { title: "Keys", show: Keys, under: "more" },
  none: { title: "", show: None },
};
export const NAV = ["alerts", "follow-ups", "on-call", "more"];
