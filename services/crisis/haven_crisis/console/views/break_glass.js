/** Opening an alert without a relation to the person: possible, on the record, and reviewed. */
import { html } from "../lib/html.js";
import { post } from "../lib/api.js";
import { Form, Title } from "../lib/parts.js";

export function BreakGlass({ id, done }) {
  return html`
    <${Title}>This alert is not open to you<//>
    <p>There is no such alert, or you are neither on duty, nor were paged, nor on the person's care team.</p>
    <section aria-labelledby="glass" class="card">
      <h2 id="glass">Break glass</h2>
      <p>
        If waiting would be dangerous you can open it for one hour. It stands on the alert's timeline and in the
        person's access history under your name, and somebody else reviews it.
      </p>
      <${Form}
        name=${`${id}/glass`}
        label="Break glass"
        tone="danger"
        submit="Open it for one hour"
        fields=${[
          {
            name: "reason",
            label: "Why waiting would be dangerous",
            kind: "area",
            required: true,
            minlength: 10,
            maxlength: 2000,
          },
        ]}
        send=${async ({ reason }) => {
          await post(`/v1/alerts/${id}:breakGlass`, { reason });
          await done();
        }}
      />
    </section>
  `;
}
