/** Closing: how it ended, the risk, who was told on what ground, and when somebody looks in again. */
import { html } from "../lib/html.js";
import { post } from "../lib/api.js";
import { draft, Form, setDraft } from "../lib/parts.js";
import { DISPOSITIONS, GROUNDS, local, RISKS } from "../lib/words.js";

const HOUR_MS = 3_600_000;
const MOST_TOLD = 20;

export function Closing({ alert, done, cancel }) {
  const form = `${alert.alertId}/close`;
  const told = draft(form).told ?? 0;
  const latest = new Date(Date.now() + 24 * HOUR_MS);
  const fields = [
    { name: "disposition", label: "How it ended", kind: "select", options: DISPOSITIONS, value: alert.drill ? "DISPOSITION_DRILL" : "", required: true },
    { name: "riskLevel", label: "Risk now, as you judge it", kind: "choice", options: RISKS, required: true },
    ...Array.from({ length: told }, (_, index) => [
      { name: `told${index}`, label: `Who was told (${index + 1})`, required: true, maxlength: 200 },
      { name: `ground${index}`, label: `On what ground (${index + 1})`, kind: "select", options: GROUNDS, required: true },
    ]).flat(),
    {
      name: "followUpDueAt", label: "Look in again by", kind: "datetime-local", required: true, value: local(new Date(Date.now() + 20 * HOUR_MS)),
      max: local(latest), help: "Within 24 hours, in this device's time. One that is missed raises an alert.",
    },
    { name: "note", label: "Note for those who help", kind: "area", maxlength: 8000 },
  ];
  const send = async (values) => {
    const body = {
      disposition: values.disposition,
      riskLevel: values.riskLevel,
      followUpDueAt: new Date(values.followUpDueAt).toISOString(),
      note: values.note,
      disclosures: Array.from({ length: told }, (_, index) => ({ told: values[`told${index}`], ground: values[`ground${index}`] })),
    };
    done(await post(`/v1/alerts/${alert.alertId}:close`, body));
  };
  return html`<div class="actions">
      <button type="button" aria-disabled=${told >= MOST_TOLD} onClick=${() => told < MOST_TOLD && setDraft(form, { told: told + 1 })}>
        Somebody was told
      </button>
      ${told > 0 && html`<button type="button" onClick=${() => setDraft(form, { told: told - 1 })}>Take the last one away</button>`}
    </div>
    <${Form} name=${form} label="Close the alert" submit="Close the alert" fields=${fields} send=${send} cancel=${cancel} />`;
}
