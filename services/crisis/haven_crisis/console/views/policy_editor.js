/** The editor of an escalation policy. Who would be paged when is shown as it is typed, before anything is saved. */
import { html, useSignal } from "../lib/html.js";
import { get, post, put } from "../lib/api.js";
import { Ahead } from "../lib/ahead.js";
import { Add, Editor, firstOf, Moves, TakeOut } from "../lib/editor.js";
import { Field, Loaded, tell, Title } from "../lib/parts.js";
import { readResponders, readRotations, readTeams } from "../lib/plan.js";
import {
  complete,
  newPolicy,
  newStep,
  newTarget,
  placed,
  policyForm,
  policyOf,
  policyPlace,
  targetChoices,
} from "../lib/policy_form.js";
import { go } from "../lib/router.js";
import { SEVERITIES, span } from "../lib/words.js";
import { Table } from "./simulator.js";

const NEW = "new";
const path = (policyId) => `/v1/on-call/policies/${policyId}`;
const simulate = (asked) => post("/v1/on-call/policies:simulate", asked);

export function PolicyEditor({ id }) {
  const name = `policy/${id}`;
  const read = async () => (id === NEW ? firstOf(name, newPolicy) : policyForm(await get(path(id))));
  const load = async () => {
    const [saved, rotations, teams, responders] = await Promise.all([
      read(),
      readRotations(),
      readTeams(),
      readResponders(),
    ]);
    return { saved, choices: targetChoices({ rotations, teams, responders }) };
  };
  return html`
    <${Title}>${id === NEW ? "New policy" : "Change a policy"}<//>
    <p><a class="button" href="#/policies">All policies</a></p>
    <${Loaded} load=${load}>
      ${({ saved, choices }, again) => html`
        <${Editor}
          name=${name}
          label="Escalation policy"
          root="policy"
          saved=${saved}
          read=${read}
          again=${again}
          place=${policyPlace}
          save=${save}
          done=${(policy) => go("policies", () => tell(`${policy.name} is saved.`))}
        >
          ${(edit) => html`
            <${Fields} ...${edit} saved=${saved} choices=${choices} />
          `}
        <//>
        ${
          id !== NEW &&
          !saved.isDefault &&
          html`
            <${TakeOut} what="policy" id=${id} name=${saved.name} path=${path(id)} view="policies">
              <p>No call for help is paged by it any more. It can be put back.</p>
            <//>
          `
        }
      `}
    <//>
  `;
}

async function save(form) {
  const policy = policyOf(form);
  try {
    return await put(path(policy.policyId), { policy });
  } catch (problem) {
    if (problem.rule === "unreachable_step")
      problem.violations = placed(policy.name, (await simulate({ policy })).problems);
    throw problem;
  }
}

function Fields({ value, change, field, saved, choices }) {
  const { name, steps, repeats, lastResort, isDefault } = value;
  const stepsAre = (changed) => change({ steps: changed });
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
      saved.isDefault
        ? html`
            <p class="help">This is the default: it pages, for every call for help.</p>
          `
        : html`
            <${Field}
              ...${field("isDefault")}
              kind="check"
              label="Make it the default, which pages for every call for help"
              help="Until then it is a draft and pages nobody."
              value=${isDefault}
              set=${(given) => change({ isDefault: given })}
            />
          `
    }
    ${steps.map(
      (step, place) => html`
        <${Step}
          key=${step.key}
          step=${step}
          legend=${`Step ${place + 1}`}
          at=${(part) => field(`steps[${place}].${part}`)}
          set=${(part) => stepsAre(steps.map((each) => (each.key === step.key ? { ...each, ...part } : each)))}
          choices=${choices}
        >
          <${Moves} id=${field("steps").id} list=${steps} place=${place} what=${`step ${place + 1}`} set=${stepsAre} />
        <//>
      `,
    )}
    <${Add} id=${field("steps").id} list=${steps} made=${newStep} set=${stepsAre}>Add a step<//>
    <${Field}
      ...${field("repeats")}
      label="How often all steps are gone through again"
      kind="number"
      inputmode="numeric"
      min=${0}
      max=${10}
      value=${repeats}
      set=${(given) => change({ repeats: given })}
      required=${true}
      help="0: once through, then the last resort."
    />
    <${Step}
      step=${lastResort}
      legend="The last resort"
      help="Paged when every step was in vain, again and again until somebody answers. It names a supervisor."
      at=${(part) => field(`lastResort.${part}`)}
      set=${(part) => change({ lastResort: { ...lastResort, ...part } })}
      choices=${choices}
    />
    <${Preview} form=${value} />
  `;
}

function Step({ step, legend, help, at, set, choices, children }) {
  const { targets, wait, roundRobin } = step;
  const { id, wrong } = at("targets");
  const what = legend.replace(/^[ST]/, (first) => first.toLowerCase());
  return html`
    <fieldset id=${id} class="step" data-key=${step.key} aria-describedby=${wrong && `${id}-wrong`}>
      <legend>${legend}</legend>
      ${
        help &&
        html`
          <p class="help">${help}</p>
        `
      }
      ${targets.map(
        (target, place) => html`
          <div class="row" key=${target.key} data-key=${target.key}>
            <${Field}
              id=${at(`targets[${place}]`).id}
              label=${place === 0 ? "Who is paged" : roundRobin ? "or" : "and"}
              kind="select"
              options=${choices}
              value=${target.who}
              set=${(who) => set({ targets: targets.map((each) => (each.key === target.key ? { ...each, who } : each)) })}
              required=${true}
            />
            <${Moves}
              id=${id}
              list=${targets}
              place=${place}
              what=${`number ${place + 1} of ${what}`}
              set=${(changed) => set({ targets: changed })}
              ordered=${roundRobin}
            />
          </div>
        `,
      )}
      ${
        wrong &&
        html`
          <p class="wrong" id=${`${id}-wrong`}>${wrong}</p>
        `
      }
      <${Add} id=${id} list=${targets} made=${newTarget} set=${(changed) => set({ targets: changed })}>
        Add somebody to ${what}
      <//>
      ${
        targets.length > 1 &&
        html`
          <${Field}
            ...${at("roundRobin")}
            kind="check"
            label="One of them at a time, in turn"
            value=${roundRobin}
            set=${(given) => set({ roundRobin: given })}
          />
        `
      }
      <${Field}
        ...${at("wait")}
        label="Seconds to wait for an answer"
        kind="number"
        inputmode="numeric"
        min=${1}
        max=${3600}
        step="any"
        value=${wait}
        set=${(given) => set({ wait: given })}
        required=${true}
        help=${Number(wait) >= 60 ? `That is ${span(Math.round(Number(wait)) * 1000)}.` : "At most 3600, an hour."}
      />
      ${children}
    </fieldset>
  `;
}

/** Who would be paged when. Its own fields belong to no form, so that Enter in them saves nothing. */
function Preview({ form }) {
  const at = useSignal("");
  const severity = useSignal("SEVERITY_HIGH");
  const policy = policyOf({ ...form, name: form.name || "Policy" });
  const asked = { policy, severity: severity.value, ...(at.value && { at: new Date(at.value).toISOString() }) };
  return html`
    <${Ahead}
      title="If nobody answers, who is paged when"
      question=${complete(form) ? asked : null}
      ask=${() => simulate(asked)}
      missing="The table comes when every step says who is paged and how long to wait."
      summary=${({ pages, problems }) =>
        problems.length ? `It would be refused: ${problems[0]}` : `${pages.length} pages up to the last resort.`}
    >
      ${(found) => html`
        <${Table} ...${found} />
      `}
    <//>
    <details>
      <summary>Look at another hour, or another severity</summary>
      <${Field}
        id="preview-at"
        form=""
        label="When the call comes"
        kind="datetime-local"
        value=${at.value}
        set=${(given) => (at.value = given)}
        help="Empty: now."
      />
      <${Field}
        id="preview-severity"
        label="How severe"
        kind="select"
        options=${SEVERITIES}
        value=${severity.value}
        set=${(given) => (severity.value = given)}
        required=${true}
      />
    </details>
  `;
}
