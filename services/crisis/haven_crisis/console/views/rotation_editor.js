/** The editor of a rotation. What it would leave open is shown as it is typed, who is on call when it is saved. */
import { html } from "../lib/html.js";
import { all, get, post, put } from "../lib/api.js";
import { Ahead, Coverage, inShort } from "../lib/ahead.js";
import { Editor, firstOf, TakeOut } from "../lib/editor.js";
import { Field, Loaded, tell, Title } from "../lib/parts.js";
import { nameOf } from "../lib/people.js";
import { checkCoverage, readResponders, readTeams, rotationPath } from "../lib/plan.js";
import { complete, formField, newRotation, rotationForm, rotationOf, rotationPlace } from "../lib/rotation_form.js";
import { go } from "../lib/router.js";
import { stretch, ZONE } from "../lib/words.js";
import { Layers } from "./layers.js";

const NEW = "new";
const SHOWN_DAYS = 14;
const DAY_MS = 86_400_000;

export function RotationEditor({ id }) {
  const name = `rotation/${id}`;
  const read = async () => (id === NEW ? firstOf(name, newRotation) : rotationForm(await get(rotationPath(id))));
  const load = async () => {
    const [saved, teams, responders] = await Promise.all([read(), readTeams(), readResponders()]);
    return { saved, teams: Object.fromEntries(teams.map((each) => [each.teamId, each.name])), responders };
  };
  return html`
    <${Title}>${id === NEW ? "New rotation" : "Change a rotation"}<//>
    <p><a class="button" href="#/rotations">All rotations</a></p>
    <${Loaded} load=${load}>
      ${({ saved, ...known }, again) => html`
        <${Editor}
          name=${name}
          label="Rotation"
          root="rotation"
          saved=${saved}
          read=${read}
          again=${again}
          place=${rotationPlace}
          save=${save}
          done=${async (rotation) => {
            const told = () => tell(`${rotation.name} is saved. Who is on call in the next two weeks stands below.`);
            if (id === NEW) return go(`rotations/${rotation.rotationId}`, told);
            await again();
            return told();
          }}
        >
          ${(edit) => html`
            <${Fields} ...${edit} ...${known} />
          `}
        <//>
        ${
          id !== NEW &&
          html`
            <${Weeks} key=${saved.etag} rotationId=${id} />
            <${TakeOut} what="rotation" id=${id} name=${saved.name} path=${rotationPath(id)} view="rotations">
              <p>Nobody is on call by it any more. It can be put back.</p>
            <//>
          `
        }
      `}
    <//>
  `;
}

async function save(form) {
  const rotation = rotationOf(form);
  try {
    return await put(rotationPath(rotation.rotationId), { rotation });
  } catch (problem) {
    problem.violations = (problem.violations ?? []).map((each) => ({ ...each, field: formField(each.field) }));
    if (problem.rule === "rotation_gap") {
      const { refused } = await checkCoverage(rotation);
      problem.violations = refused.map((message) => ({ field: "", rule: "refused", message }));
    }
    throw problem;
  }
}

function Fields({ value, change, field, teams, responders }) {
  const { name, teamId, layers, overrides, shadows } = value;
  const rotation = rotationOf({ ...value, name: name || "The rotation" });
  return html`
    <${Field}
      ...${field("name")}
      label="Name"
      value=${name}
      set=${(given) => change({ name: given })}
      required=${true}
      maxlength=${200}
    />
    ${
      Object.keys(teams).length > 0 &&
      html`
        <${Field}
          ...${field("teamId")}
          label="Team"
          kind="select"
          options=${teams}
          value=${teamId}
          set=${(given) => change({ teamId: given })}
          help="Only its members can be in the rotation."
        />
      `
    }
    <${Layers}
      layers=${layers}
      set=${(changed) => change({ layers: changed })}
      field=${field}
      responders=${responders}
    />
    ${
      overrides.length + shadows.length > 0 &&
      html`
        <p class="help">
          Overrides and who watches stay as they are. Overrides are changed in the calendar, under On call.
        </p>
      `
    }
    <${Ahead}
      title="What it means for the plan"
      question=${complete(value) ? rotation : null}
      ask=${() => checkCoverage(rotation)}
      missing="Gaps are shown when every layer says who takes turns, how long, and from when."
      summary=${inShort}
    >
      ${(coverage) => html`
        <${Coverage} ...${coverage} />
      `}
    <//>
  `;
}

/** Who is on call by what is saved. */
function Weeks({ rotationId }) {
  const load = async () => {
    const start = Date.now();
    const within = {
      rotationId,
      startsAt: new Date(start).toISOString(),
      endsAt: new Date(start + SHOWN_DAYS * DAY_MS).toISOString(),
    };
    const [duties, coverage] = await Promise.all([
      all("/v1/on-call/duties", "duties", within),
      post("/v1/on-call/rotations:checkCoverage", { rotationId }),
    ]);
    return { duties: duties.filter((each) => !each.shadow), coverage };
  };
  return html`
    <section class="part" aria-labelledby="two-weeks">
      <h2 id="two-weeks">As it is saved: the next two weeks</h2>
      <p class="quiet">Times in ${ZONE}.</p>
      <${Loaded} load=${load}>
        ${({ duties, coverage }) => html`
          <ul>
            ${duties.map(
              (each) => html`
                <li>
                  ${`${stretch(each)}: `}
                  <strong>${each.responderName || nameOf(each.responderId)}</strong>
                </li>
              `,
            )}
          </ul>
          <${Coverage} ...${coverage} saved=${true} />
        `}
      <//>
    </section>
  `;
}
