/** The live list of alerts. It names nobody: who it is about is seen by opening one. */
import { html, useRef } from "../lib/html.js";
import { refocus } from "../lib/ahead.js";
import { post } from "../lib/api.js";
import { silenced, wake, waits } from "../lib/calling.js";
import { alerts, noteAlert, standing } from "../lib/live.js";
import { Title, tell, useAct } from "../lib/parts.js";
import { nameOf, nameWithin } from "../lib/people.js";
import { go } from "../lib/router.js";
import { device, setDevice } from "../lib/settings.js";
import { session } from "../lib/sign_in.js";
import { ago, clock, now, SEVERITY, span, STATES, word } from "../lib/words.js";

const RANK = ["SEVERITY_IMMEDIATE", "SEVERITY_HIGH", "SEVERITY_ELEVATED"];

/** Alerts that wait for an answer. */
export const waiting = (known) => [...known.values()].filter(waits);

export function Alerts() {
  const open = [...alerts.value.values()].filter((each) => each.state !== "ALERT_STATE_CLOSED").sort(byNeed);
  const closed = [...alerts.value.values()].filter((each) => each.state === "ALERT_STATE_CLOSED");
  return html`
    <${Title}>Alerts<//>
    <${Sound} />
    ${
      open.length === 0 &&
      html`
        <p class="empty">${nothing()}</p>
      `
    }
    <ul class="cards" aria-label="Open alerts">
      ${open.map(
        (each) => html`
          <li key=${each.alertId}><${Card} alert=${each} /></li>
        `,
      )}
    </ul>
    ${
      closed.length > 0 &&
      html`
        <h2>Closed lately</h2>
        <ul class="cards">
          ${closed.map(
            (each) => html`
              <li key=${each.alertId}><${Card} alert=${each} /></li>
            `,
          )}
        </ul>
      `
    }
  `;
}

function nothing() {
  if (standing.value === "connecting") return "Looking for open alerts.";
  if (standing.value === "lost") return "Open alerts cannot be read at the moment.";
  return "No alert is open. A new one appears here by itself.";
}

function Card({ alert }) {
  const [busy, act] = useAct();
  const link = useRef(null);
  const mine = alert.responderId === session.value.id;
  const acknowledge = () =>
    act(async () => {
      await take(alert);
      refocus(() => link.current);
    });
  return html`
    <article class=${`card ${alert.severity.toLowerCase()} ${alert.state.toLowerCase()}`} aria-label=${label(alert)}>
      <p class="tags">
        ${
          alert.drill &&
          html`
            <span class="drill">Drill</span>
          `
        }
        <span class="severity">${word(SEVERITY, alert.severity)}</span>
        <span>${word(STATES, alert.state)}</span>
        ${
          alert.withdrawn &&
          html`
            <span>Said it was a mistake</span>
          `
        }
      </p>
      <p>Raised ${ago(alert.raisedAt)} ago, at ${clock(alert.raisedAt)}.</p>
      ${
        alert.responderId &&
        html`
          <p>${holder(alert)}</p>
        `
      }
      ${
        alert.nextDeadline &&
        html`
          <p>${deadline(alert, mine)}</p>
        `
      }
      <p class="actions">
        ${
          waits(alert) &&
          html`
            <button type="button" class="primary" data-next onClick=${acknowledge} aria-disabled=${busy}>
              ${busy ? "Taking…" : "Acknowledge"}
            </button>
          `
        }
        <a class="button" ref=${link} href=${`#/alerts/${alert.alertId}`}>Open</a>
        ${
          waits(alert) &&
          device.value.sound &&
          !silenced.value.has(alert.alertId) &&
          html`
            <button type="button" onClick=${() => (silenced.value = new Set([...silenced.value, alert.alertId]))}>
              Silence here
            </button>
          `
        }
      </p>
    </article>
  `;
}

function label(alert) {
  const facts = [word(SEVERITY, alert.severity), word(STATES, alert.state), `raised at ${clock(alert.raisedAt)}`];
  return (alert.drill ? ["Drill", ...facts] : facts).join(", ");
}

/** Who has it, or had it. */
export function holder({ responderId, state }) {
  if (state === "ALERT_STATE_CLOSED") return `Closed by ${nameWithin(responderId)}.`;
  return responderId === session.value.id ? "You have it." : `${nameOf(responderId)} has it.`;
}

/** What happens next unless somebody acts. */
export function deadline(alert, mine) {
  const left = Date.parse(alert.nextDeadline) - now.value;
  const when = left > 0 ? `in ${span(left)}` : "now";
  if (waits(alert)) return alert.stage < 0 ? `Everyone is paged again ${when}.` : `The next step is paged ${when}.`;
  if (alert.state === "ALERT_STATE_ACKNOWLEDGED")
    return `${mine ? "Record contact or a try" : "Contact is due"}: paging begins again ${when}.`;
  return `To be closed: a reminder goes out ${when}.`;
}

/** Take an alert in one tap, and say what that means and how to give it on. Raises Problem. */
export async function take(alert) {
  try {
    const taken = await post(`/v1/alerts/${alert.alertId}:acknowledge`);
    noteAlert(taken);
    const until = taken.nextDeadline ? ` until ${clock(taken.nextDeadline)}` : "";
    const actions = [{ label: "Open it", act: () => go(`alerts/${alert.alertId}`) }];
    const text = `You have it${until}. Record contact by then, or everyone is paged again. Cannot take it? Hand it over.`;
    tell(text, actions, false);
  } catch (problem) {
    if (problem.rule !== "taken") throw problem;
    tell("Another responder has taken it. You can open it and help.");
  }
}

function Sound() {
  if (!device.value.sound)
    return html`
      <p class="hint">
        This page is silent.
        <button type="button" onClick=${() => (setDevice({ sound: true }), wake())}>Turn on the sound</button>
        <a class="button" href="#/device">More</a>
      </p>
    `;
  return null;
}

function byNeed(one, other) {
  return (
    Number(waits(other)) - Number(waits(one)) ||
    Number(one.drill) - Number(other.drill) ||
    RANK.indexOf(one.severity) - RANK.indexOf(other.severity) ||
    one.raisedAt.localeCompare(other.raisedAt)
  );
}
