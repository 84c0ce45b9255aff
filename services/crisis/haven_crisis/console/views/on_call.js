/** Who is on call now, and what would keep a call for help from reaching a human. */
import { html } from "../lib/html.js";
import { Loaded, Title } from "../lib/parts.js";
import { nameOf, onCall, readOnCall } from "../lib/people.js";
import { moment } from "../lib/words.js";

export function OnCall() {
  return html`<${Title}>On call<//>
    <${Loaded} load=${readOnCall}>${() => html`<${Now} ...${onCall.value} />`}<//>`;
}

function Now({ duties, problems }) {
  return html`
    ${problems.length > 0 &&
    html`<section class="cautions" aria-labelledby="problems">
      <h2 id="problems">What would keep a call from a human</h2>
      <ul>${problems.map((each) => html`<li>${each}</li>`)}</ul>
    </section>`}
    <section aria-labelledby="now">
      <h2 id="now">On call now</h2>
      ${duties.length === 0 && html`<p>No rotation has anybody on call now. Policies that name responders page them all the same.</p>`}
      <ul class="cards">
        ${duties.map(
          (each) => html`<li class="card" key=${each.rotationId}>
            <p><strong>${nameOf(each.responderId)}</strong></p>
            <p>${each.rotationName}${each.until ? `, until ${moment(each.until)}` : ""}</p>
          </li>`
        )}
      </ul>
    </section>`;
}
