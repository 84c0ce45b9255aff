/** What happened, in order, and every page with how it went. */
import { html } from "../lib/html.js";
import { knownName, nameOf, nameWithin } from "../lib/people.js";
import { clock, DISPOSITIONS, ENTRIES, GROUNDS, PAGES, RISKS, SEVERITY, WAYS, word } from "../lib/words.js";

export function Tried({ entries = [] }) {
  if (!entries.length) return null;
  return html`
    <section aria-labelledby="tried">
      <h2 id="tried">What was tried to reach them</h2>
      <${Entries} entries=${entries} />
    </section>
  `;
}

export function Timeline({ entries }) {
  return html`
    <section aria-labelledby="timeline">
      <h2 id="timeline">What happened</h2>
      <${Entries} entries=${entries} />
    </section>
  `;
}

function Entries({ entries }) {
  return html`
    <ol class="timeline">
      ${entries.map(
        (each) => html`
          <li key=${each.seq}>
            <time datetime=${each.at}>${clock(each.at)}</time>
            <div>
              <p>
                <strong>${word(ENTRIES, each.kind)}</strong>
                ${by(each)}${facts(each.facts)}
              </p>
              ${
                each.note &&
                html`
                  <p class="note">${each.note}</p>
                `
              }
              ${
                each.debrief &&
                html`
                  <${Debrief} debrief=${each.debrief} />
                `
              }
              ${
                each.closing &&
                html`
                  <${Closing} closing=${each.closing} />
                `
              }
            </div>
          </li>
        `,
      )}
    </ol>
  `;
}

function by({ actorId }) {
  // Parts of the service and those who called for help have no name here.
  return knownName(actorId) && `, ${nameWithin(actorId)}`;
}

function facts(known) {
  const told = [];
  if (known.way) told.push(WAYS[known.way]?.toLowerCase() ?? known.way);
  if (known.severity) told.push(Object.values(SEVERITY)[known.severity - 1] ?? known.severity);
  if (known.source) told.push(known.source.replace(/_/g, " "));
  if (known.channel) told.push(`by ${known.channel}`);
  if (known.responder_id) told.push(`to ${nameOf(known.responder_id)}`);
  return told.length ? ` (${told.join(", ")})` : "";
}

function Closing({ closing }) {
  return html`
    <p>${word(DISPOSITIONS, closing.disposition)}. Risk: ${word(RISKS, closing.riskLevel)}.</p>
    ${closing.disclosures.map(
      (each) => html`
        <p>Told: ${each.told} (${word(GROUNDS, each.ground)})</p>
      `,
    )}
  `;
}

function Debrief({ debrief }) {
  return html`
    <p>Went well: ${debrief.wentWell}</p>
    <p>To change: ${debrief.toChange}</p>
    <p>Support offered: ${debrief.supportOffered}</p>
  `;
}

export function Pages({ pages }) {
  if (!pages.length) return null;
  return html`
    <section aria-labelledby="pages">
      <h2 id="pages">Who was paged</h2>
      <ol class="timeline">
        ${pages.map(
          (each) => html`
            <li key=${each.pageId}>
              <time datetime=${each.createdAt}>${clock(each.createdAt)}</time>
              <p>
                ${outcome(each)}${each.resent ? ", sent again" : ""}
              </p>
            </li>
          `,
        )}
      </ol>
    </section>
  `;
}

/** Who was paged how, and what came of it. */
export function outcome({ responderId, channel, state, failure }) {
  return `${nameOf(responderId)}, by ${channel}: ${word(PAGES, state).toLowerCase()}${failure ? ` (${failure})` : ""}`;
}
