/** Closing: how it ended, the risk, who was told on what ground, and when somebody looks in again. */
import { html } from "../lib/html.js";
import { post } from "../lib/api.js";
import { draft, Form, setDraft } from "../lib/parts.js";
import { names } from "../lib/people.js";
import { session } from "../lib/sign_in.js";
import { DISPOSITIONS, GROUNDS, local, RISKS } from "../lib/words.js";

const HOUR_MS = 3_600_000;
const MOST_TOLD = 20;

export function Closing({ alert, done, cancel }) {
  const colleagues = Object.fromEntries(Object.entries(names.value).filter(([id]) => id !== session.value.id));
  return html`<${ClosingForm}
    form=${`${alert.alertId}/close`}
    label="Close the alert"
    drill=${alert.drill}
    cancel=${cancel}
    more=${[
      {
        name: "followUpDueAt", label: "Look in again by", kind: "datetime-local", required: true, value: local(new Date(Date.now() + 20 * HOUR_MS)),
        max: local(new Date(Date.now() + 24 * HOUR_MS)), help: "Within 24 hours, in this device's time. One that is missed raises an alert.",
      },
      { name: "coSignerId", label: "Second clinician, where one is needed", kind: "select", options: colleagues, help: "After a severe alert a second clinician signs. Left open: any who may." },
      { name: "note", label: "Note for those who help", kind: "area", maxlength: 8000 },
    ]}
    send=${async ({ followUpDueAt, coSignerId, note }, ended) =>
      done(await post(`/v1/alerts/${alert.alertId}:close`, { ...ended, followUpDueAt: new Date(followUpDueAt).toISOString(), coSignerId, note }))}
  />`;
}

/** What every closing says: `send(values, ended)` is given it as the contract has it. */
export function ClosingForm({ form, label, drill, more, cancel, send }) {
  const told = draft(form).told ?? 0;
  const fields = [
    { name: "disposition", label: "How it ended", kind: "select", options: DISPOSITIONS, value: drill ? "DISPOSITION_DRILL" : "", required: true },
    { name: "riskLevel", label: "Risk now, as you judge it", kind: "choice", options: RISKS, required: true },
    told === 0 && { name: "nobodyTold", label: "Nobody was told", kind: "check", required: true },
    ...Array.from({ length: told }, (_, index) => [
      { name: `told${index}`, label: `Who was told (${index + 1})`, required: true, maxlength: 200 },
      { name: `ground${index}`, label: `On what ground (${index + 1})`, kind: "select", options: GROUNDS, required: true },
    ]).flat(),
    ...more,
  ].filter(Boolean);
  const ended = (values) => ({
    disposition: values.disposition,
    riskLevel: values.riskLevel,
    nobodyTold: told === 0 && Boolean(values.nobodyTold),
    disclosures: Array.from({ length: told }, (_, index) => ({ told: values[`told${index}`], ground: values[`ground${index}`] })),
  });
  return html`<${Form} name=${form} label=${label} submit=${label} fields=${fields} send=${(values) => send(values, ended(values))} cancel=${cancel}>
    <div class="actions">
      <button type="button" aria-disabled=${told >= MOST_TOLD} onClick=${() => told < MOST_TOLD && setDraft(form, { told: told + 1 })}>Somebody was told</button>
      ${told > 0 && html`<button type="button" onClick=${() => setDraft(form, { told: told - 1 })}>Take the last one away</button>`}
    </div>
  <//>`;
}
