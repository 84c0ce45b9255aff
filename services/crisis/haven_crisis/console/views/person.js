/** What the responder must know of the person: card, place, contacts, safety plan, lines to call. */
import { html } from "../lib/html.js";
import { nameOf } from "../lib/people.js";
import { clock, moment, now, span, WAY_KINDS } from "../lib/words.js";

export function Cautions({ cautions }) {
  if (!cautions.length) return null;
  return html`
    <section class="cautions" aria-labelledby="cautions">
      <h2 id="cautions">Before you reach out</h2>
      <ul>
        ${cautions.map(
          (each) => html`
            <li>${each}</li>
          `,
        )}
      </ul>
    </section>
  `;
}

export function Lines({ lines }) {
  return html`
    <section aria-labelledby="lines">
      <h2 id="lines">Emergency and crisis lines there</h2>
      <ul class="plain">
        ${lines.map(
          (each) => html`
            <li>
              <a class="button call" href=${`tel:${dialled(each.number)}`}>${each.number}</a>
              <span>
                <strong>${each.name}</strong>
                <br />
                ${each.how}
              </span>
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}

/** From when the copy is that crisis keeps of it. */
function AsOf({ copies, name }) {
  const copy = copies.find((each) => each.name === name);
  return (
    copy &&
    html`
      <p class="quiet">As of ${clock(copy.asOf)}.</p>
    `
  );
}

function besideThem(facilitator, copies) {
  if (!facilitator) return "No facilitator is known to be with them.";
  const { asOf } = copies.find((each) => each.name === "presence");
  return `${nameOf(facilitator)} is in the room with them as facilitator, as of ${clock(asOf)}.`;
}

export function Place({ location, age, at, facilitator, copies }) {
  const old = Number(age) * 1000 + (now.value - at);
  return html`
    <section aria-labelledby="place">
      <h2 id="place">Where they are</h2>
      ${
        location
          ? html`
              <p class="large">${[location.address, location.region, location.country].filter(Boolean).join(", ")}</p>
              ${
                location.accessNote &&
                html`
                  <p>Getting in: ${location.accessNote}</p>
                `
              }
              <p>
                ${`Confirmed by the person ${span(old)} ago`}
                ${location.confirmedAt ? `, at ${clock(location.confirmedAt)}.` : "."}
              </p>
            `
          : html`
              <p>Nobody has confirmed a place. Ask first.</p>
            `
      }
      <p>${besideThem(facilitator, copies)}</p>
    </section>
  `;
}

export function Person({ person, copies }) {
  if (!person) return null;
  const { avoid, helps } = person;
  return html`
    <section aria-labelledby="person">
      <h2 id="person">Reaching them</h2>
      <${AsOf} copies=${copies} name="card" />
      <${Ways} ways=${person.ways} nobody="No way to reach them is known." />
      ${
        helps?.length > 0 &&
        html`
          <h3>What helps</h3>
          <${Points} lines=${helps} />
        `
      }
      ${
        avoid?.length > 0 &&
        html`
          <h3>Leave out when speaking</h3>
          <${Points} lines=${avoid} />
        `
      }
      <dl>
        ${
          person.legalName &&
          html`
            <dt>Name in records</dt>
            <dd>${person.legalName}</dd>
          `
        }
        ${
          person.birthDate &&
          html`
            <dt>Born</dt>
            <dd>${person.birthDate}</dd>
          `
        }
        ${
          person.language &&
          html`
            <dt>Language</dt>
            <dd>${person.language}</dd>
          `
        }
        ${
          person.timeZone &&
          html`
            <dt>Their time</dt>
            <dd>${there(person.timeZone)}</dd>
          `
        }
      </dl>
    </section>
  `;
}

export function Contacts({ contacts, copies }) {
  const known = contacts?.contacts ?? [];
  return html`
    <section aria-labelledby="contacts">
      <h2 id="contacts">People in their life</h2>
      <${AsOf} copies=${copies} name="contacts" />
      ${
        known.length === 0 &&
        html`
          <p>Nobody is named.</p>
        `
      }
      <ul class="plain">
        ${known.map(
          (each) => html`
            <li class=${each.neverContact ? "never" : ""}>
              <p>
                <strong>${each.name}</strong>
                ${each.relationship && `, ${each.relationship}`}
              </p>
              <p>
                ${mayBeTold(each)}
              </p>
              <${Ways} ways=${each.ways} />
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}

export function Plan({ plan, parts }) {
  return html`
    <section aria-labelledby="plan">
      <h2 id="plan">Safety plan</h2>
      ${
        !plan &&
        html`
          <p>There is no safety plan.</p>
        `
      }
      ${
        plan &&
        parts.map(
          (each) => html`
            <h3>${each.label}</h3>
            ${
              each.lines.length
                ? html`
                    <${Points} lines=${each.lines} />
                  `
                : html`
                    <p class="quiet">Nothing is written here.</p>
                  `
            }
          `,
        )
      }
      ${
        plan?.updatedAt &&
        html`
          <p class="quiet">Last changed ${moment(plan.updatedAt)}.</p>
        `
      }
    </section>
  `;
}

function mayBeTold({ neverContact, consented }) {
  if (neverContact) return "Never tell this person anything.";
  return consented ? "May be told." : "No consent: do not tell.";
}

function Ways({ ways = [], nobody }) {
  if (!ways.length)
    return nobody
      ? html`
          <p>${nobody}</p>
        `
      : null;
  return html`
    <ul class="plain">
      ${ways.map(
        (each) => html`
          <li>
            ${address(each)}
            <span>
              ${
                each.safeTimes &&
                `Safe: ${each.safeTimes}. `
              }
              ${each.mayLeaveMessage ? "A message may be left." : "Leave no message."}
              ${
                each.safeWords &&
                html`
                  <br />
                  If someone else answers: “${each.safeWords}”
                `
              }
            </span>
          </li>
        `,
      )}
    </ul>
  `;
}

function address({ kind, address: where }) {
  if (!where)
    return html`
      <strong>${WAY_KINDS[kind] ?? kind}</strong>
    `;
  if (kind === "phone")
    return html`
      <a class="button call" href=${`tel:${dialled(where)}`}>Call ${where}</a>
    `;
  if (kind === "text")
    return html`
      <a class="button call" href=${`sms:${dialled(where)}`}>Text ${where}</a>
    `;
  return html`
    <strong>${WAY_KINDS[kind] ?? kind}: ${where}</strong>
  `;
}

function Points({ lines }) {
  return html`
    <ul>
      ${lines.map(
        (each) => html`
          <li>${each}</li>
        `,
      )}
    </ul>
  `;
}

const dialled = (number) => number.replace(/[^\d+*#]/g, "");

function there(timeZone) {
  try {
    return new Intl.DateTimeFormat([], { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(
      now.value,
    );
  } catch {
    return timeZone;
  }
}
