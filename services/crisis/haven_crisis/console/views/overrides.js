/** Overrides: somebody else takes a stretch of a rotation. What that leaves open is shown before it is saved. */
import { html } from "../lib/html.js";
import { all, get } from "../lib/api.js";
import { Ahead, Coverage, focusOn, inShort, Opens } from "../lib/ahead.js";
import { draft, Form, Loaded, tell, tellWhy } from "../lib/parts.js";
import { nameOf } from "../lib/people.js";
import {
  changeRotation,
  checkCoverage,
  readResponders,
  rotationPath,
  withOverride,
  withoutOverride,
} from "../lib/plan.js";
import { session } from "../lib/sign_in.js";
import { local, now, stretch } from "../lib/words.js";

/** A button beside a duty, and the form that gives the duty, or a part of it, to somebody else. */
export function ChangeWho({ duty, again }) {
  return html`
    <${Opens} label="Change who has it" about=${`${stretch(duty)}, ${duty.rotationName}`}>
      ${(close) => html`
        <${Loaded} load=${readResponders}>
          ${(byId) => html`
            <${Give} duty=${duty} byId=${byId} again=${again} close=${close} />
          `}
        <//>
      `}
    <//>
  `;
}

function Give({ duty, byId, again, close }) {
  const { rotationId, responderId: holder } = duty;
  const form = `override/${rotationId}/${duty.endsAt}`;
  const own = session.value.id;
  const others = Object.fromEntries(Object.entries(byId).filter(([id]) => id !== holder && id !== own));
  const usual = {
    responderId: byId[own] && own !== holder ? own : "",
    startsAt: local(new Date(duty.startsAt)),
    endsAt: local(new Date(duty.endsAt)),
  };
  /** What is typed, in the contract's terms. A time that was left as it was stays exact to the second. */
  const override = ({ responderId, startsAt, endsAt }) => ({
    responderId,
    startsAt: startsAt === usual.startsAt ? duty.startsAt : new Date(startsAt).toISOString(),
    endsAt: endsAt === usual.endsAt ? duty.endsAt : new Date(endsAt).toISOString(),
  });
  const typed = { ...usual, ...draft(form) };
  const given = typed.responderId && typed.startsAt && typed.endsAt && typed.startsAt < typed.endsAt;
  return html`
    <${Form}
      name=${form}
      label=${`Change who has it: ${stretch(duty)}, ${duty.rotationName}`}
      submit="Save the change"
      cancel=${close}
      fields=${[
        {
          name: "responderId",
          label: "Who takes it",
          kind: "select",
          options: usual.responderId ? { [own]: "You", ...others } : others,
          value: usual.responderId,
          required: true,
        },
        { name: "startsAt", label: "From", kind: "datetime-local", value: usual.startsAt, required: true },
        { name: "endsAt", label: "Up to", kind: "datetime-local", value: usual.endsAt, required: true },
      ]}
      send=${async (values) => {
        const made = override(values);
        await changeRotation(rotationId, (rotation) => withOverride(rotation, made));
        tell(`${nameOf(made.responderId)}: ${stretch(made)}. Saved.`);
        close();
        await again();
        focusOn(() => document.getElementById("weeks"));
      }}
    >
      <${After} rotationId=${rotationId} override=${given ? override(typed) : null} />
    <//>
  `;
}

/** Whose duty it was, and what the plan would leave open. */
function After({ rotationId, override }) {
  return html`
    <${Ahead}
      title="What it means for the plan"
      question=${override}
      ask=${async () => {
        const { startsAt, endsAt } = override;
        const [rotation, duties] = await Promise.all([
          get(rotationPath(rotationId)),
          all("/v1/on-call/duties", "duties", { rotationId, startsAt, endsAt }),
        ]);
        return {
          held: duties.filter((each) => !each.shadow),
          ...(await checkCoverage(withOverride(rotation, override))),
        };
      }}
      missing="Say who takes it, and from when to when."
      summary=${inShort}
    >
      ${({ held, ...coverage }) => html`
        ${
          held.length > 0 &&
          html`
            <p>
              ${`${nameOf(override.responderId)}, instead of `}
              ${held.map((each) => `${nameOf(each.responderId)} (${stretch(each)})`).join(", ")}.
            </p>
          `
        }
        <${Coverage} ...${coverage} />
      `}
    <//>
  `;
}

/** The overrides that are not over. `again` reads the calendar anew. */
export function Overrides({ rotations, administrator, again }) {
  const ahead = rotations.flatMap((rotation) =>
    rotation.overrides
      .filter((each) => Date.parse(each.endsAt) > now.peek())
      .map((override) => ({ rotation, override })),
  );
  if (!ahead.length) return null;
  return html`
    <section class="part" aria-labelledby="overrides">
      <h2 id="overrides" tabindex="-1">Overrides</h2>
      <ul class="cards">
        ${ahead.map(
          ({ rotation, override }) => html`
            <li class="card" key=${`${rotation.rotationId}/${override.startsAt}`}>
              <p>
                <strong>${nameOf(override.responderId)}</strong>
                ${` ${stretch(override)}`}
              </p>
              <p class="quiet">${rotation.name}</p>
              ${
                administrator &&
                html`
                  <${Remove} rotation=${rotation} override=${override} again=${again} />
                `
              }
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}

function Remove({ rotation, override, again }) {
  const put = async (change, text, actions) => {
    await changeRotation(rotation.rotationId, change);
    tell(text, actions);
    await again();
  };
  const back = async () => {
    try {
      await put((each) => withOverride(each, override), "The override is in force again.");
    } catch (problem) {
      tellWhy(problem);
    }
  };
  return html`
    <${Opens} label="Remove" about=${`${nameOf(override.responderId)}, ${stretch(override)}`}>
      ${(close) => html`
        <${Form}
          name=${`remove/${rotation.rotationId}/${override.startsAt}`}
          label=${`Remove the override: ${stretch(override)}, ${rotation.name}`}
          submit="Remove it"
          cancel=${close}
          fields=${[]}
          send=${async () => {
            await put((each) => withoutOverride(each, override), "Removed: the rotation's own turns count again.", [
              { label: "Put it back", act: back },
            ]);
            focusOn(() => document.getElementById("overrides") ?? document.querySelector("h1"));
          }}
        >
          <${Ahead}
            title="What it means for the plan"
            question=${override}
            ask=${async () => checkCoverage(withoutOverride(await get(rotationPath(rotation.rotationId)), override))}
            missing=""
            summary=${inShort}
          >
            ${(coverage) => html`
              <${Coverage} ...${coverage} />
            `}
          <//>
        <//>
      `}
    <//>
  `;
}
