/** If nobody answers, who is paged when: a policy gone through in thought. Nobody is paged. */
import { html, useSignal } from "../lib/html.js";
import { all, post } from "../lib/api.js";
import { Form, Loaded, Title } from "../lib/parts.js";
import { duration, SEVERITIES, span } from "../lib/words.js";

export function Simulator() {
  return html`
    <${Title}>If nobody answers<//>
    <p>Who is paged, when and how, if a call comes and nobody takes it. Nothing is saved and nobody is paged.</p>
    <${Loaded} load=${() => all("/v1/on-call/policies", "policies")}>
      ${(policies) =>
        policies.length === 0
          ? html`
              <p class="empty">There is no policy: only the last resort is paged.</p>
            `
          : html`
              <${Ask} policies=${policies} />
            `}
    <//>
  `;
}

function Ask({ policies }) {
  const found = useSignal(null);
  const byId = Object.fromEntries(policies.map((each) => [each.policyId, each.name]));
  const usual = policies.find((each) => each.isDefault) ?? policies[0];
  return html`
    <${Form}
      name="simulator"
      label="Go through a policy"
      submit="Show who is paged"
      fields=${[
        { name: "policyId", label: "Policy", kind: "select", options: byId, value: usual.policyId, required: true },
        { name: "at", label: "When the call comes", kind: "datetime-local", help: "Empty: now." },
        {
          name: "severity",
          label: "How severe",
          kind: "choice",
          options: SEVERITIES,
          value: "SEVERITY_HIGH",
          required: true,
        },
      ]}
      send=${async ({ policyId, at, severity }) => {
        const policy = policies.find((each) => each.policyId === policyId);
        found.value = await post("/v1/on-call/policies:simulate", {
          policy,
          severity,
          ...(at && { at: new Date(at).toISOString() }),
        });
      }}
    />
    <div aria-live="polite">
      ${
        found.value &&
        html`
          <${Table} ...${found.value} />
        `
      }
    </div>
  `;
}

/** The pages of a simulated policy, and what would keep it from being saved. */
export function Table({ pages, problems }) {
  return html`
    ${
      problems.length > 0 &&
      html`
        <section class="cautions" aria-label="Problems">
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
    <div class="scroll" tabindex="0" role="region" aria-label="Who is paged when">
      <table>
        <caption>Who is paged when</caption>
        <thead>
          <tr>
            <th scope="col">After</th>
            <th scope="col">Step</th>
            <th scope="col">Who</th>
            <th scope="col">How</th>
          </tr>
        </thead>
        <tbody>
          ${pages.map(
            (each) => html`
              <tr>
                <th scope="row">${duration(each.after) ? span(duration(each.after)) : "at once"}</th>
                <td>${each.step}</td>
                <td>${each.responderName || each.responderId}${each.shadow ? " (watches)" : ""}</td>
                <td>${each.channel}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
