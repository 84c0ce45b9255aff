/** A drill: a signal that pages people as a real one does, says everywhere that it is one, and is watched here. */
import { html, useEffect, useRef, useSignal } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { alerts } from "../lib/live.js";
import { Form, tellWhy, Title } from "../lib/parts.js";
import { nameWithin } from "../lib/people.js";
import { clock, span, STATES, word } from "../lib/words.js";

const newDrill = () => ({ signalId: crypto.randomUUID(), personId: crypto.randomUUID() });

export function Drill() {
  const raised = useSignal(null);
  // The same drill until it is accepted: a second tap after a lost answer raises no second one.
  const ids = useRef(newDrill());
  const begin = async () => {
    const began = Date.now();
    const answer = await post("/v1/signals", { ...ids.current, source: "SIGNAL_SOURCE_DRILL" });
    ids.current = newDrill();
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
  useEffect(() => {
    if (alert && alert.state !== "ALERT_STATE_RAISED" && !taken.length) look().catch(tellWhy);
  }, [alert?.state, alert?.etag]);
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
              ${`Taken by ${nameWithin(alert.responderId)}`}
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
