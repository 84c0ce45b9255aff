/** Closing: how it ended, the risk, who was told on what ground, and when somebody looks in again. */
import { html, useState } from "../lib/html.js";
import { post } from "../lib/api.js";
import { draft, Form, setDraft } from "../lib/parts.js";
import { colleagues } from "../lib/people.js";
import { DISPOSITIONS, GROUNDS, local, RISKS } from "../lib/words.js";

const HOUR_MS = 3_600_000;
const MOST_TOLD = 20;
const DRILL = "DISPOSITION_DRILL";
const ENDINGS = Object.fromEntries(Object.entries(DISPOSITIONS).filter(([each]) => each !== DRILL));
const NOTE = { name: "note", label: "Note for those who help", kind: "area", maxlength: 8000 };

const hence = (hours) => new Date(Date.now() + hours * HOUR_MS);

export function Closing({ alert, done, cancel }) {
  const close = async (body) => done(await post(`/v1/alerts/${alert.alertId}:close`, body));
  const form = { form: `${alert.alertId}/close`, label: "Close the alert", cancel };
  return alert.drill
    ? html`
        <${OfDrill} ...${form} close=${close} />
      `
    : html`
        <${OfAlert} ...${form} close=${close} />
      `;
}

/** A drill is about nobody: there is nothing to judge, nobody to tell, and nobody to look in on. */
function OfDrill({ form, label, cancel, close }) {
  const [due] = useState(() => hence(20).toISOString());
  const ended = { disposition: DRILL, riskLevel: "RISK_LEVEL_LOW", nobodyTold: true, followUpDueAt: due };
  return html`
    <${Form}
      name=${form}
      label=${label}
      submit=${label}
      cancel=${cancel}
      fields=${[NOTE]}
      send=${({ note }) => close({ ...ended, note })}
    />
  `;
}

function OfAlert({ form, label, cancel, close }) {
  // As it was when the form was opened: what is sent again is then the same.
  const [usual] = useState(() => local(hence(20)));
  const more = [
    {
      name: "followUpDueAt",
      label: "Look in again by",
      kind: "datetime-local",
      required: true,
      value: usual,
      max: local(hence(24)),
      help: "Within 24 hours, in this device's time. One that is missed raises an alert.",
    },
    {
      name: "coSignerId",
      label: "Second clinician, where one is needed",
      kind: "select",
      options: colleagues(),
      help: "After a severe alert a second clinician signs. Left open: any who may.",
    },
    NOTE,
  ];
  const send = ({ followUpDueAt, coSignerId, note }, ended) =>
    close({ ...ended, followUpDueAt: new Date(followUpDueAt).toISOString(), coSignerId, note });
  return html`
    <${ClosingForm} form=${form} label=${label} cancel=${cancel} more=${more} send=${send} />
  `;
}

/** What every closing says: `send(values, ended)` is given it as the contract has it. */
export function ClosingForm({ form, label, more, cancel, send }) {
  const told = draft(form).told ?? 0;
  const each = Array.from({ length: told }, (_, index) => index);
  const fields = [
    { name: "disposition", label: "How it ended", kind: "select", options: ENDINGS, required: true },
    { name: "riskLevel", label: "Risk now, as you judge it", kind: "choice", options: RISKS, required: true },
    told === 0 && { name: "nobodyTold", label: "Nobody was told", kind: "check", required: true },
    ...each.flatMap((index) => [
      { name: `told${index}`, label: `Who was told (${index + 1})`, required: true, maxlength: 200 },
      {
        name: `ground${index}`,
        label: `On what ground (${index + 1})`,
        kind: "select",
        options: GROUNDS,
        required: true,
      },
    ]),
    ...more,
  ].filter(Boolean);
  const ended = (values) => ({
    disposition: values.disposition,
    riskLevel: values.riskLevel,
    nobodyTold: told === 0 && Boolean(values.nobodyTold),
    disclosures: each.map((index) => ({ told: values[`told${index}`], ground: values[`ground${index}`] })),
  });
  const tell = (count) => () => setDraft(form, { told: Math.min(MOST_TOLD, Math.max(0, count)) });
  return html`
    <${Form}
      name=${form}
      label=${label}
      submit=${label}
      fields=${fields}
      send=${(values) => send(values, ended(values))}
      cancel=${cancel}
    >
      <div class="actions">
        <button type="button" aria-disabled=${told >= MOST_TOLD} onClick=${tell(told + 1)}>Somebody was told</button>
        ${
          told > 0 &&
          html`
            <button type="button" onClick=${tell(told - 1)}>Take the last one away</button>
          `
        }
      </div>
    <//>
  `;
}
