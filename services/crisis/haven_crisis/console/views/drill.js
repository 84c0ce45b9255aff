/** A drill: a signal that pages people as a real one does, says everywhere that it is one, and is watched here. */
import { html, useSignal } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { alerts } from "../lib/live.js";
import { Form, Title } from "../lib/parts.js";
import { session } from "../lib/sign_in.js";
import { clock, span, STATES, word } from "../lib/words.js";

export function Drill() {
  const raised = useSignal(null);
  const begin = async () => {
    const began = Date.now();
    const answer = await post("/v1/signals", {
      signalId: crypto.randomUUID(),
      source: "SIGNAL_SOURCE_DRILL",
      personId: crypto.randomUUID(),
    });
    raised.value = { alertId: answer.alertId, began, durable: Date.now() - began };
  };
  return html`
    <${Title}>Drill<//>
    <p>
      Raises a drill for nobody. Whoever is on call is paged like in earnest; each page says that it is a drill. It
      never joins or hides a real alert. Take it, record contact and close it, as you would at night.
    </p>
    <${Form} name="drill" label="Drill" fields=${[]} submit="Page people for a drill" send=${begin} />
    ${
      raised.value &&
      html`
        <${Through} ...${raised.value} />
      `
    }
  `;
}

function Through({ alertId, durable }) {
  const pages = useSignal([]);
  const alert = alerts.value.get(alertId);
  const look = async () => (pages.value = (await get(`/v1/alerts/${alertId}/pages`)).pages);
  const taken = pages.value.filter((each) => each.acceptedAt).map((each) => Date.parse(each.acceptedAt));
  if (alert && alert.state !== "ALERT_STATE_RAISED" && !taken.length) look().catch(() => {});
  return html`
    <section aria-labelledby="through" class="card" aria-live="polite">
      <h2 id="through">How it goes</h2>
      <ol>
        <li>Accepted and durable after ${durable} ms.</li>
        ${
          alert &&
          html`
            <li>Here on the page: ${word(STATES, alert.state)}.</li>
          `
        }
        ${
          taken.length > 0 &&
          html`
            <li>
              First page taken by a provider ${span(Math.min(...taken) - Date.parse(alert.raisedAt))} after the signal.
            </li>
          `
        }
        ${
          alert?.acknowledgedAt &&
          html`
            <li>
              ${`Taken by ${alert.responderId === session.value.id ? "you" : "a responder"}`}
              ${` at ${clock(alert.acknowledgedAt)}.`}
            </li>
          `
        }
        ${
          alert?.closedAt &&
          html`
            <li>Closed at ${clock(alert.closedAt)}.</li>
          `
        }
      </ol>
      <p><a class="button" href=${`#/alerts/${alertId}`}>Open the drill</a></p>
    </section>
  `;
}
