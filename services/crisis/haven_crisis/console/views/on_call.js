/** The on-call calendar: who is on call now and in the next weeks, one's own shifts, swaps, time off, overrides. */
import { html, useSignal } from "../lib/html.js";
import { Opens, refocus } from "../lib/ahead.js";
import { all, post } from "../lib/api.js";
import { Form, Loaded, tell, Title, useAct } from "../lib/parts.js";
import { colleagues, isPlanner, nameOf, onCall, readOnCall } from "../lib/people.js";
import { readRotations } from "../lib/plan.js";
import { session } from "../lib/sign_in.js";
import { moment, now, span, stretch, word, ZONE } from "../lib/words.js";
import { ChangeWho, Overrides } from "./overrides.js";
import { TimeOff } from "./time_off.js";

const WEEKS = { 1: "One week", 2: "Two weeks", 4: "Four weeks", 12: "Twelve weeks" };
const SWAPS = {
  SWAP_STATE_REQUESTED: "Asked, changes nothing yet",
  SWAP_STATE_ACCEPTED: "In force",
  SWAP_STATE_DECLINED: "Declined",
  SWAP_STATE_WITHDRAWN: "Taken back",
};
const DAYS = new Intl.DateTimeFormat([], { weekday: "long", month: "long", day: "numeric" });

export function OnCall({ administrator }) {
  const weeks = useSignal("2");
  const planner = isPlanner(session.value.roles);
  const load = async () => {
    const start = new Date();
    // Whole days, so that the last stretch has the same end whenever it is read.
    const end = new Date(start.getFullYear(), start.getMonth(), start.getDate() + Number(weeks.value) * 7 + 1);
    const within = { startsAt: start.toISOString(), endsAt: end.toISOString() };
    const [duties, rotations] = await Promise.all([
      all("/v1/on-call/duties", "duties", within),
      planner ? readRotations() : [],
      readOnCall(),
    ]);
    return { duties, rotations };
  };
  return html`
    <${Title}>On call<//>
    <${Loaded} aged=${true} load=${load} deps=${[weeks.value]}>
      ${({ duties, rotations }, again) => html`
        <${Now} ...${onCall.value} />
        ${
          planner &&
          html`
            <${Loaded} load=${() => all("/v1/on-call/swaps", "swaps")}>
              ${(swaps, look) => html`
                <${Swaps} swaps=${swaps} again=${() => Promise.all([look(), again()])} />
              `}
            <//>
          `
        }
        <${Mine}
          duties=${duties.filter((each) => each.responderId === session.value.id && !each.shadow)}
          again=${again}
        />
        ${
          planner &&
          html`
            <${TimeOff} administrator=${administrator} again=${again} />
          `
        }
        <${Calendar} duties=${duties} weeks=${weeks} administrator=${administrator} again=${again} />
        ${
          planner &&
          html`
            <${Overrides} rotations=${rotations} administrator=${administrator} again=${again} />
          `
        }
      `}
    <//>
  `;
}

function Now({ duties, problems, at }) {
  return html`
    ${
      problems.length > 0 &&
      html`
        <section class="cautions" aria-labelledby="problems">
          <h2 id="problems">What would keep a call from a human</h2>
          <ul>
            ${problems.map(
              (each) => html`
                <li>${each}</li>
              `,
            )}
          </ul>
        </section>
      `
    }
    <section class="part" aria-labelledby="now">
      <h2 id="now">Now</h2>
      <p class="quiet">As it was ${span(now.value - at)} ago.</p>
      ${
        duties.length === 0 &&
        html`
          <p>No rotation has anybody on call now. Policies that name responders page them all the same.</p>
        `
      }
      <ul class="cards">
        ${duties.map(
          (each) => html`
            <li class="card" key=${each.rotationId}>
              <p><strong>${nameOf(each.responderId)}</strong></p>
              <p>${each.rotationName}${each.until ? `, until ${moment(each.until)}` : ""}</p>
              ${
                each.shadowIds?.length > 0 &&
                html`
                  <p class="quiet">Watches: ${each.shadowIds.map(nameOf).join(", ")}</p>
                `
              }
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}

function Mine({ duties, again }) {
  return html`
    <section class="part" aria-labelledby="mine">
      <h2 id="mine" tabindex="-1">My shifts</h2>
      ${
        duties.length === 0 &&
        html`
          <p class="empty">You have none in this time.</p>
        `
      }
      <ul class="cards">
        ${duties.map((each) => {
          const id = `${each.rotationId}/${each.startsAt}`;
          return html`
            <li class="card" key=${id}>
              <p><strong>${stretch(each)}</strong></p>
              <p>${each.rotationName}</p>
              <${Opens} label="Ask somebody to take it">
                ${(close) => html`
                  <${Ask} duty=${each} again=${again} close=${close} />
                `}
              <//>
            </li>
          `;
        })}
      </ul>
    </section>
  `;
}

function Ask({ duty, again, close }) {
  return html`
    <${Form}
      name=${`swap/${duty.rotationId}/${duty.startsAt}`}
      label="Ask somebody to take this shift"
      submit="Ask"
      cancel=${close}
      fields=${[
        {
          name: "askedOf",
          label: "Whom to ask",
          kind: "select",
          options: colleagues(),
          required: true,
          help: "Nothing changes until they accept.",
        },
      ]}
      send=${async ({ askedOf }) => {
        const { rotationId, startsAt, endsAt } = duty;
        await post("/v1/on-call/swaps", { askedOf, gives: { rotationId, startsAt, endsAt } });
        tell(`${nameOf(askedOf)} is asked. You keep the shift until they accept.`);
        close();
        again();
      }}
    />
  `;
}

function Swaps({ swaps, again }) {
  const [busy, doOnce] = useAct();
  const open = swaps.filter((each) => each.state === "SWAP_STATE_REQUESTED");
  if (!open.length) return null;
  const act = async (swap, verb, text) => {
    await doOnce(async () => {
      await post(`/v1/on-call/swaps/${swap.swapId}:${verb}`);
      tell(text);
    });
    await again();
    refocus(() => document.getElementById("mine"));
  };
  return html`
    <section class="part" aria-labelledby="swaps">
      <h2 id="swaps">Swaps that wait for an answer</h2>
      <ul class="cards">
        ${open.map(
          (each) => html`
            <li class="card" key=${each.swapId}>
              <p>
                <strong>${nameOf(each.requestedBy)}</strong>
                ${` asked ${nameOf(each.askedOf)}: ${stretch(each.gives)}`}
                ${each.takes && `, in return for ${stretch(each.takes)}`}
              </p>
              <p class="quiet">${word(SWAPS, each.state)}</p>
              <p class="actions">
                ${
                  each.askedOf === session.value.id &&
                  html`
                    <button
                      type="button"
                      class="primary"
                      aria-disabled=${busy}
                      onClick=${() => act(each, "accept", "The swap is in force.")}
                    >
                      Accept
                    </button>
                    <button
                      type="button"
                      aria-disabled=${busy}
                      onClick=${() => act(each, "decline", "Declined. Nothing changes.")}
                    >
                      Decline
                    </button>
                  `
                }
                ${
                  each.requestedBy === session.value.id &&
                  html`
                    <button
                      type="button"
                      aria-disabled=${busy}
                      onClick=${() => act(each, "withdraw", "Taken back.")}
                    >
                      Take it back
                    </button>
                  `
                }
              </p>
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}

function Calendar({ duties, weeks, administrator, again }) {
  const days = Map.groupBy(duties, (each) => DAYS.format(new Date(each.startsAt)));
  return html`
    <section class="part" aria-labelledby="weeks">
      <h2 id="weeks" tabindex="-1">The next weeks</h2>
      <div class="field">
        <label for="how-far">How far to look</label>
        <select id="how-far" value=${weeks.value} onChange=${(event) => (weeks.value = event.target.value)}>
          ${Object.entries(WEEKS).map(
            ([value, text]) => html`
              <option value=${value} selected=${value === weeks.value}>${text}</option>
            `,
          )}
        </select>
      </div>
      <p class="quiet">Times are this device's: ${ZONE}.</p>
      ${
        duties.length === 0 &&
        html`
          <p class="empty">No rotation has a duty in this time.</p>
        `
      }
      ${[...days].map(
        ([day, found]) => html`
          <h3>${day}</h3>
          <ul class="plain">
            ${found.map(
              (each) => html`
                <li key=${`${each.rotationId}/${each.endsAt}/${each.responderId}`}>
                  <p>
                    ${`${stretch(each)}: `}
                    <strong>${each.responderName || nameOf(each.responderId)}</strong>
                    , ${each.rotationName}${each.shadow ? " (watches)" : ""}
                  </p>
                  ${
                    administrator &&
                    !each.shadow &&
                    html`
                      <${ChangeWho} duty=${each} again=${again} />
                    `
                  }
                </li>
              `,
            )}
          </ul>
        `,
      )}
    </section>
  `;
}
