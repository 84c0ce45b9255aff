/** The responder's page: who, what happened, what helps, where, whom to reach, and what to do next. */
import { html, useEffect, useRef, useSignal } from "../lib/html.js";
import { get } from "../lib/api.js";
import { waits } from "../lib/calling.js";
import { alerts, noteAlert } from "../lib/live.js";
import { Title, Trouble } from "../lib/parts.js";
import { learn } from "../lib/people.js";
import { session } from "../lib/sign_in.js";
import { ago, clock, now, SEVERITIES, span, STATES, word } from "../lib/words.js";
import { Actions } from "./alert_actions.js";
import { deadline, holder, take } from "./alerts.js";
import { BreakGlass } from "./break_glass.js";
import { Cautions, Contacts, Lines, Person, Place, Plan } from "./person.js";
import { Pages, Timeline, Tried } from "./timeline.js";

export function Alert({ id }) {
  const found = useSignal({ state: "loading" });
  const newest = useRef(0);
  const read = async () => {
    const reading = ++newest.current;
    const at = Date.now();
    try {
      const view = await get(`/v1/alerts/${id}/view`);
      if (reading !== newest.current) return;
      found.value = { state: "here", view, at };
      learn(view.names);
      noteAlert(view.alert);
    } catch (problem) {
      if (reading !== newest.current) return;
      found.value = { ...found.value, state: problem.status === 404 ? "hidden" : "failed", problem };
    }
  };
  const live = alerts.value.get(id);
  // What others do shows at once; each reading is in the person's access history, so it is read for a reason.
  useEffect(() => {
    if (found.value.view?.alert.etag !== live?.etag || found.value.state === "loading") read();
  }, [live?.etag]);
  const { state, view, problem, at } = found.value;
  if (state === "loading")
    return html`
      <${Title}>Alert<//>
      <p>Opening the alert.</p>
    `;
  if (state === "hidden")
    return html`
      <${BreakGlass} id=${id} done=${read} />
    `;
  if (!view)
    return html`
      <${Title}>Alert<//>
      <${Trouble} problem=${problem} again=${read} />
    `;
  const alert = live ?? view.alert;
  return html`
    <${Title}>
      ${view.person?.chosenName || "Someone"}${
        view.person?.pronouns
          ? html`
              ${" "}
              <span class="quiet">(${view.person.pronouns})</span>
            `
          : ""
      }
    <//>
    ${
      state === "failed" &&
      html`
        <${Trouble} problem=${problem} again=${read} old=${true} />
      `
    }
    <${Standing} alert=${alert} at=${at} />
    <${Cautions} cautions=${view.cautions} />
    <${Actions} alert=${alert} again=${read} acknowledge=${() => take(alert)} />
    <div class="columns">
      <${Person} person=${view.person} copies=${view.copies} />
      <${Lines} lines=${view.emergencyLines} />
      <${Place}
        location=${view.location}
        age=${view.locationAgeSeconds}
        at=${at}
        facilitator=${view.presentFacilitatorId}
        copies=${view.copies}
      />
      <${Contacts} contacts=${view.contacts} copies=${view.copies} />
      <${Plan} plan=${view.safetyPlan} parts=${view.planParts} />
      <${Tried} entries=${view.tried} />
      <${Timeline} entries=${view.timeline} />
      <${Pages} pages=${view.pages} />
    </div>
  `;
}

function Standing({ alert, at }) {
  const mine = alert.responderId === session.value.id;
  return html`
    <section class=${`card ${alert.severity.toLowerCase()}`} aria-label="Where it stands">
      <p class="tags">
        ${
          alert.drill &&
          html`
            <span class="drill">Drill: nobody is in danger</span>
          `
        }
        <span class="severity">${word(SEVERITIES, alert.severity)}</span>
        <span>${word(STATES, alert.state)}</span>
      </p>
      <p>
        Raised ${ago(alert.raisedAt)} ago, at ${clock(alert.raisedAt)}.
        ${alert.responderId ? ` ${holder(alert)}` : waits(alert) ? " Nobody has it yet." : ""}
      </p>
      ${
        alert.nextDeadline &&
        html`
          <p><strong>${deadline(alert, mine)}</strong></p>
        `
      }
      <p class="quiet">Read ${span(now.value - at)} ago.</p>
    </section>
  `;
}
