/** Looking in again on people whose alert was closed: what is due, the earliest first. */
import { html, useSignal } from "../lib/html.js";
import { all, post } from "../lib/api.js";
import { Form, Loaded, tell, Title } from "../lib/parts.js";
import { nameOf } from "../lib/people.js";
import { moment, now, RISKS, span } from "../lib/words.js";

export function FollowUps() {
  return html`<${Title}>Follow-ups<//>
    <p>People who were in crisis and whom somebody looks in on again. One that is missed raises an alert.</p>
    <${Loaded} load=${() => all("/v1/follow-ups", "followUps")}>
      ${(found, again) =>
        found.length === 0
          ? html`<p class="empty">No follow-up is due.</p>`
          : html`<ul class="cards">
              ${found.map((each) => html`<li key=${each.followUpId}><${FollowUp} due=${each} again=${again} /></li>`)}
            </ul>`}
    <//>`;
}

function FollowUp({ due, again }) {
  const open = useSignal(false);
  const left = Date.parse(due.dueAt) - now.value;
  return html`<article class="card" aria-label=${`Follow-up due ${moment(due.dueAt)}`}>
    <p><strong>${left > 0 ? `Due in ${span(left)}` : `Overdue for ${span(left)}`}</strong>, ${moment(due.dueAt)}</p>
    <p>Closed by ${nameOf(due.responderId)}.</p>
    <p class="actions">
      <button type="button" aria-expanded=${open.value} onClick=${() => (open.value = !open.value)}>Record it</button>
      <a class="button" href=${`#/alerts/${due.alertId}`}>Open the alert</a>
    </p>
    ${open.value &&
    html`<${Form}
      name=${`follow-up/${due.followUpId}`}
      label="Record the follow-up"
      submit="I reached them: record it"
      cancel=${() => (open.value = false)}
      fields=${[
        { name: "riskLevel", label: "Risk now, as you judge it", kind: "choice", options: RISKS, required: true },
        { name: "note", label: "Note for those who help", kind: "area", maxlength: 4000 },
      ]}
      send=${async ({ riskLevel, note }) => {
        await post(`/v1/follow-ups/${due.followUpId}:record`, { reached: true, riskLevel, note });
        tell("The follow-up is recorded.");
        again();
      }}
    />`}
  </article>`;
}
