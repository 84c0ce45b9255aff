/** Escalation policies: who is paged when nobody answers. Administrators change them; responders read them. */
import { html } from "../lib/html.js";
import { unsaved } from "../lib/editor.js";
import { Loaded, Title } from "../lib/parts.js";
import { readPolicies, readRotations, readTeams } from "../lib/plan.js";
import { targetName } from "../lib/policy_form.js";
import { duration, span } from "../lib/words.js";
import { PolicyEditor } from "./policy_editor.js";

export function Policies({ id, administrator }) {
  return id && administrator
    ? html`
        <${PolicyEditor} id=${id} />
      `
    : html`
        <${List} administrator=${administrator} />
      `;
}

function List({ administrator }) {
  const load = async () => {
    const [policies, rotations, teams] = await Promise.all([readPolicies(), readRotations(), readTeams()]);
    return { policies, rotations, teams };
  };
  return html`
    <${Title}>Escalation policies<//>
    <p>Who is paged when nobody answers. Policies are read step by step; an answer ends them.</p>
    ${
      administrator &&
      html`
        <p class="actions"><a class="button" href="#/policies/new">New policy</a></p>
      `
    }
    <${Loaded} load=${load}>
      ${({ policies, ...known }) =>
        policies.length === 0
          ? html`
              <p class="empty">There is no policy: only the last resort is paged.</p>
            `
          : html`
              <ul class="cards">
                ${policies.map(
                  (each) => html`
                    <li key=${each.policyId}>
                      <${Policy} policy=${each} known=${known} administrator=${administrator} />
                    </li>
                  `,
                )}
              </ul>
            `}
    <//>
  `;
}

function Policy({ policy, known, administrator }) {
  const { policyId, name, steps, repeats, lastResort, isDefault } = policy;
  const who = (step) => step.targets.map((each) => targetName(each, known)).join(step.roundRobin ? " or " : " and ");
  const wait = (step) => span(duration(step.wait));
  return html`
    <article class="card" aria-label=${name}>
      <p class="tags">
        <strong>${name}</strong>
        ${
          isDefault &&
          html`
            <span class="quiet">the default</span>
          `
        }
      </p>
      <ol>
        ${steps.map(
          (each) => html`
            <li>${`${who(each)}, then wait ${wait(each)}`}</li>
          `,
        )}
      </ol>
      <p class="quiet">
        ${repeats > 0 && `All of it again, ${repeats === 1 ? "once" : `${repeats} times`}. `}
        ${`Last resort: ${who(lastResort)}, every ${wait(lastResort)} until somebody answers.`}
      </p>
      ${
        administrator &&
        html`
          ${
            unsaved(`policy/${policyId}`) &&
            html`
              <p>You have changes here that are not saved.</p>
            `
          }
          <p class="actions">
            <a class="button" href=${`#/policies/${policyId}`} aria-label=${`Change ${name}`}>Change</a>
          </p>
        `
      }
    </article>
  `;
}
