/** Uses of break-glass, for review by an administrator. Nobody reviews their own. */
import { html } from "../lib/html.js";
import { Opens, refocus } from "../lib/ahead.js";
import { all, post } from "../lib/api.js";
import { Form, Loaded, tell, Title } from "../lib/parts.js";
import { nameOf } from "../lib/people.js";
import { session } from "../lib/sign_in.js";
import { moment } from "../lib/words.js";

export function Reviews() {
  return html`
    <${Title}>Break-glass reviews<//>
    <p>Openings of an alert without a relation to the person that nobody has reviewed yet.</p>
    <${Loaded} aged=${true} load=${() => all("/v1/break-glass", "uses", { unreviewed: true })}>
      ${(found, again) =>
        found.length === 0
          ? html`
              <p class="empty">Nothing waits for a review.</p>
            `
          : html`
              <ul class="cards">
                ${found.map(
                  (each) => html`
                    <li key=${each.breakGlassId}><${Use} use=${each} again=${again} /></li>
                  `,
                )}
              </ul>
            `}
    <//>
  `;
}

function Use({ use, again }) {
  const own = use.principalId === session.value.id;
  return html`
    <article class="card" aria-label=${`Opened ${moment(use.usedAt)}`}>
      <p>
        <strong>${nameOf(use.principalId)}</strong>
        , ${moment(use.usedAt)}
      </p>
      <p class="note">${use.reason}</p>
      ${
        own
          ? html`
              <p>It is yours: somebody else reviews it.</p>
            `
          : html`
              <${Opens} label="Review">
                ${(close) => html`
                  <${Form}
                    name=${`review/${use.breakGlassId}`}
                    label="Review"
                    submit="Record the review"
                    cancel=${close}
                    fields=${[
                      {
                        name: "justified",
                        label: "Was it justified?",
                        kind: "choice",
                        options: { yes: "Yes", no: "No" },
                        required: true,
                      },
                      { name: "note", label: "What you found", kind: "area", required: true, maxlength: 4000 },
                    ]}
                    send=${async ({ justified, note }) => {
                      const found = { justified: justified === "yes", note };
                      await post(`/v1/break-glass/${use.breakGlassId}:review`, found);
                      tell("The review is recorded.");
                      await again();
                      refocus(() => document.querySelector("h1"));
                    }}
                  />
                `}
              <//>
            `
      }
    </article>
  `;
}
