/** What is to be done after an alert: look in again, sign a closing, debrief. The earliest first. */
import { html } from "../lib/html.js";
import { Opens, refocus } from "../lib/ahead.js";
import { all, post } from "../lib/api.js";
import { Form, Loaded, tell, Title } from "../lib/parts.js";
import { nameWithin } from "../lib/people.js";
import { session } from "../lib/sign_in.js";
import { moment, now, RISKS, span } from "../lib/words.js";
import { ClosingForm } from "./closing.js";

const SIGNERS = ["individual_therapist", "couples_therapist", "substance_use_counselor", "prescriber"];
const AREA = { kind: "area", required: true, maxlength: 4000 };

export function FollowUps() {
  return html`
    <${Title}>Follow-ups<//>
    <h2>Looking in again</h2>
    <p>People who were in crisis and whom somebody looks in on again. One that is missed raises an alert.</p>
    <${Loaded} aged=${true} load=${() => all("/v1/follow-ups", "followUps")}>
      ${(found, again) =>
        found.length === 0
          ? html`
              <p class="empty">No follow-up is due.</p>
            `
          : html`
              <ul class="cards">
                ${found.map(
                  (each) => html`
                    <li key=${each.followUpId}><${FollowUp} due=${each} again=${again} /></li>
                  `,
                )}
              </ul>
            `}
    <//>
    <h2>After a severe alert</h2>
    <${Loaded} aged=${true} load=${() => all("/v1/reviews", "reviews")}>
      ${(found, again) =>
        found.length === 0
          ? html`
              <p class="empty">No signature and no debrief is due.</p>
            `
          : html`
              <ul class="cards">
                ${found.map(
                  (each) => html`
                    <li key=${each.reviewId}><${Review} due=${each} again=${again} /></li>
                  `,
                )}
              </ul>
            `}
    <//>
  `;
}

function When({ at }) {
  const left = Date.parse(at) - now.value;
  return html`
    <p>
      <strong>${left > 0 ? `Due in ${span(left)}` : `Overdue for ${span(left)}`}</strong>
      , ${moment(at)}
    </p>
  `;
}

/** What was done is gone from the list once it is read again, and with it what had the focus. */
async function anew(again) {
  await again();
  refocus(() => document.querySelector("h1"));
}

function FollowUp({ due, again }) {
  return html`
    <article class="card" aria-label=${`Follow-up due ${moment(due.dueAt)}`}>
      <${When} at=${due.dueAt} />
      <p>Closed by ${nameWithin(due.responderId)}.</p>
      <${Opens} label="Record it" beside=${alertOf(due)}>
        ${(close) => html`
          <${Form}
            name=${`follow-up/${due.followUpId}`}
            label="Record the follow-up"
            submit="I reached them: record it"
            cancel=${close}
            fields=${[
              { name: "riskLevel", label: "Risk now, as you judge it", kind: "choice", options: RISKS, required: true },
              { name: "note", label: "Note for those who help", kind: "area", maxlength: 4000 },
            ]}
            send=${async ({ riskLevel, note }) => {
              await post(`/v1/follow-ups/${due.followUpId}:record`, { reached: true, riskLevel, note });
              tell("The follow-up is recorded.");
              await anew(again);
            }}
          />
        `}
      <//>
    </article>
  `;
}

const KINDS = {
  REVIEW_KIND_CO_SIGNATURE: {
    title: "A second clinician signs the closing",
    verb: "Sign or decline",
    forms: [SignForm, DeclineForm],
    may: (roles) => roles.some((each) => SIGNERS.includes(each)),
  },
  REVIEW_KIND_ANSWER: {
    title: "The closing is to be put right",
    verb: "Put it right",
    forms: [AmendForm],
    may: () => true,
  },
  REVIEW_KIND_DEBRIEF: { title: "Debrief", verb: "Write the debrief", forms: [DebriefForm], may: () => true },
};

function Review({ due, again }) {
  const kind = KINDS[due.kind];
  const act = async (path, body, text) => {
    await post(`/v1/alerts/${due.alertId}:${path}`, body);
    tell(text);
    await anew(again);
  };
  return html`
    <article class="card" aria-label=${`${kind.title}, due ${moment(due.dueAt)}`}>
      <p><strong>${kind.title}</strong></p>
      <${When} at=${due.dueAt} />
      ${
        due.askedOf &&
        html`
          <p>Asked of ${nameWithin(due.askedOf)}.</p>
        `
      }
      ${
        kind.may(session.value.roles)
          ? html`
              <${Opens} label=${kind.verb} beside=${alertOf(due)}>
                ${(close) =>
                  kind.forms.map(
                    (each) => html`
                      <${each} due=${due} act=${act} cancel=${close} />
                    `,
                  )}
              <//>
            `
          : html`
              <p class="actions">${alertOf(due)}</p>
            `
      }
    </article>
  `;
}

function SignForm({ due, act }) {
  return html`
    <${Form}
      name=${`sign/${due.reviewId}`}
      label="Sign the closing"
      submit="Sign"
      fields=${[{ name: "note", label: "Note", kind: "area", maxlength: 4000 }]}
      send=${({ note }) => act("coSign", { note }, "Signed.")}
    />
  `;
}

function DeclineForm({ due, act, cancel }) {
  return html`
    <${Form}
      name=${`decline/${due.reviewId}`}
      label="Do not sign"
      submit="Do not sign"
      cancel=${cancel}
      fields=${[{ ...AREA, name: "reason", label: "What has to be put right" }]}
      send=${({ reason }) => act("declineCoSignature", { reason }, "Whoever closed it is asked to put it right.")}
    />
  `;
}

function AmendForm({ due, act, cancel }) {
  return html`
    <${ClosingForm}
      form=${`amend/${due.reviewId}`}
      label="Put the closing right"
      cancel=${cancel}
      more=${[{ ...AREA, name: "note", label: "Your answer", maxlength: 8000 }]}
      send=${({ note }, ended) =>
        act("amendClosing", { ...ended, note }, "The closing is put right and awaits a signature again.")}
    />
  `;
}

function DebriefForm({ due, act, cancel }) {
  return html`
    <${Form}
      name=${`debrief/${due.reviewId}`}
      label="Record the debrief"
      submit="Record it"
      cancel=${cancel}
      fields=${[
        { ...AREA, name: "wentWell", label: "What went well" },
        { ...AREA, name: "toChange", label: "What to change" },
        { ...AREA, name: "supportOffered", label: "Support offered, to the person and to staff" },
      ]}
      send=${(debrief) =>
        act("recordDebrief", { debrief: { ...debrief, tookPart: [session.value.id] } }, "The debrief is recorded.")}
    />
  `;
}

const alertOf = (due) => html`
  <a class="button" href=${`#/alerts/${due.alertId}`}>Open the alert</a>
`;
