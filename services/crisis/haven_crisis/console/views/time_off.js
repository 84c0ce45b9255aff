/** Time off: one's own, and for administrators everybody's. What it would collide with is shown before it is saved. */
import { html, useSignal } from "../lib/html.js";
import { all, del, post } from "../lib/api.js";
import { Ahead, focusOn, Opens } from "../lib/ahead.js";
import { draft, Field, Form, Loaded, tell, useAct } from "../lib/parts.js";
import { nameOf } from "../lib/people.js";
import { readResponders } from "../lib/plan.js";
import { session } from "../lib/sign_in.js";
import { now, stretch, ZONE } from "../lib/words.js";

const LOOKED_AHEAD_DAYS = 90;
const DAY_MS = 86_400_000;

/** `again` reads the calendar anew. */
export function TimeOff({ administrator, again }) {
  const own = session.value.id;
  return html`
    <section class="part" aria-labelledby="time-off">
      <h2 id="time-off" tabindex="-1">Time off</h2>
      ${
        administrator
          ? html`
              <${Loaded} load=${readResponders}>
                ${(byId) => html`
                  <${Everybodys} byId=${byId} own=${own} again=${again} />
                `}
              <//>
            `
          : html`
              <${Of} who=${own} again=${again} />
            `
      }
    </section>
  `;
}

function Everybodys({ byId, own, again }) {
  const who = useSignal(byId[own] ? own : "");
  return html`
    <${Field}
      id="time-off-of"
      label="Whose"
      kind="select"
      options=${byId[own] ? { ...byId, [own]: "Yours" } : byId}
      value=${who.value}
      set=${(value) => (who.value = value)}
      required=${true}
    />
    ${
      who.value &&
      html`
        <${Of} key=${who.value} who=${who.value} again=${again} />
      `
    }
  `;
}

function Of({ who, again }) {
  const path = `/v1/on-call/responders/${encodeURIComponent(who)}/time-off`;
  const form = `time-off/${who}`;
  return html`
    <${Loaded} load=${() => all(path, "timeOff")}>
      ${(found, look) => html`
        <${Listed} found=${found} path=${path} again=${() => (look(), again())} />
        <${Opens} label="Note time off">
          ${(close) => html`
            <${Form}
              name=${form}
              label="Note time off"
              submit="Save time off"
              cancel=${close}
              fields=${[
                { name: "startsAt", label: "From", kind: "datetime-local", required: true },
                { name: "endsAt", label: "Up to", kind: "datetime-local", required: true, help: `Times in ${ZONE}.` },
              ]}
              send=${async ({ startsAt, endsAt }) => {
                await post(path, { startsAt: stamp(startsAt), endsAt: stamp(endsAt) });
                tell("The time off is saved.");
                close();
                again();
                await look();
              }}
            >
              <${Collisions} who=${who} ...${draft(form)} />
            <//>
          `}
        <//>
      `}
    <//>
  `;
}

const stamp = (typed) => new Date(typed).toISOString();

function Listed({ found, path, again }) {
  const [busy, act] = useAct();
  const note = (each) =>
    act(async () => {
      await post(path, { startsAt: each.startsAt, endsAt: each.endsAt });
      tell("The time off is saved.");
      again();
    });
  const takeBack = (each) =>
    act(async () => {
      await del(`${path}/${each.timeOffId}`);
      tell("The time off is taken back.", [{ label: "Note it again", act: () => note(each) }]);
      again();
      focusOn(() => document.getElementById("time-off"));
    });
  if (!found.length)
    return html`
      <p class="empty">None is noted.</p>
    `;
  return html`
    <ul class="cards">
      ${found.map(
        (each) => html`
          <li class="card" key=${each.timeOffId}>
            <p><strong>${stretch(each)}</strong></p>
            ${
              each.imported &&
              html`
                <p class="quiet">Read from a calendar.</p>
              `
            }
            <p class="actions">
              <button
                type="button"
                aria-label=${`Take it back: ${stretch(each)}`}
                aria-disabled=${busy}
                onClick=${() => takeBack(each)}
              >
                Take it back
              </button>
            </p>
          </li>
        `,
      )}
    </ul>
  `;
}

/** The duties that time off would meet: it is refused until somebody else has them. */
function Collisions({ who, startsAt, endsAt }) {
  const last = now.peek() + LOOKED_AHEAD_DAYS * DAY_MS;
  const given = startsAt && endsAt && startsAt < endsAt && Date.parse(startsAt) < last;
  const question = given
    ? {
        responderId: who,
        startsAt: stamp(startsAt),
        endsAt: Date.parse(endsAt) < last ? stamp(endsAt) : new Date(last).toISOString(),
      }
    : null;
  const you = who === session.value.id;
  const free = `${you ? "You are" : `${nameOf(who)} is`} not on call in it.`;
  return html`
    <${Ahead}
      title="What it means for the plan"
      question=${question && { ...question, endsAt }}
      ask=${async () => (await all("/v1/on-call/duties", "duties", question)).filter((each) => !each.shadow)}
      missing=${`Give both times, the end after the beginning. Duties of the next ${LOOKED_AHEAD_DAYS} days are shown.`}
      summary=${(duties) => (duties.length ? `${duties.length} duties are in it.` : free)}
    >
      ${(duties) =>
        duties.length === 0
          ? html`
              <p>${free}</p>
            `
          : html`
              <div class="cautions">
                <p>
                  <strong>
                    ${`${you ? "You are" : `${nameOf(who)} is`} on call in it. It is refused until somebody else has:`}
                  </strong>
                </p>
                <ul>
                  ${duties.map(
                    (each) => html`
                      <li>${`${stretch(each)}, ${each.rotationName}`}</li>
                    `,
                  )}
                </ul>
                ${
                  you &&
                  html`
                    <p>Under My shifts you can ask somebody to take them.</p>
                  `
                }
              </div>
            `}
    <//>
  `;
}
