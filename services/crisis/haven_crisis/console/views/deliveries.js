/** How pages went: by channel and provider, and the latest that failed or of which nobody knows. */
import { html, useSignal } from "../lib/html.js";
import { get } from "../lib/api.js";
import { Loaded, Title } from "../lib/parts.js";
import { duration, moment, PAGES, span, word } from "../lib/words.js";
import { outcome } from "./timeline.js";

const DAY_MS = 86_400_000;
const STRETCHES = { 1: "The last day", 7: "The last week", 30: "The last 30 days" };
const TROUBLED = ["PAGE_STATE_FAILED", "PAGE_STATE_UNKNOWN"];
const SHOWN = 50;

export function Deliveries() {
  const days = useSignal("7");
  const load = async () => {
    const since = new Date(Date.now() - Number(days.value) * DAY_MS).toISOString();
    const query = { since, includeDrills: true };
    const [report, ...troubled] = await Promise.all([
      get("/v1/delivery-report", { ...query, pageSize: 200 }),
      ...TROUBLED.map((state) => get("/v1/deliveries", { ...query, state, pageSize: SHOWN })),
    ]);
    return {
      lines: report.lines,
      troubled: troubled.flatMap((each) => each.deliveries).sort((a, b) => b.createdAt.localeCompare(a.createdAt)),
    };
  };
  return html`
    <${Title}>How pages went<//>
    <div class="field">
      <label for="stretch">When</label>
      <select id="stretch" value=${days.value} onChange=${(event) => (days.value = event.target.value)}>
        ${Object.entries(STRETCHES).map(
          ([value, text]) => html`
            <option value=${value} selected=${value === days.value}>${text}</option>
          `,
        )}
      </select>
    </div>
    <${Loaded} aged=${true} load=${load} deps=${[days.value]}>
      ${({ lines, troubled }) => html`
        <${Report} lines=${lines} />
        <${Troubled} found=${troubled} />
      `}
    <//>
  `;
}

function Report({ lines }) {
  if (!lines.length)
    return html`
      <p class="empty">No page was made in this time.</p>
    `;
  return html`
    <ul class="cards" aria-label="Pages by channel and provider, drills too">
      ${lines.map(
        (each) => html`
          <li class="card">
            <p>
              <strong>${each.channel}</strong>
              ${each.provider ? `, ${each.provider}` : ""}
            </p>
            <dl class="even">
              ${each.counts.map(
                (count) => html`
                  <dt>${word(PAGES, count.state)}</dt>
                  <dd>${count.pages}</dd>
                `,
              )}
              <dt>How soon taken</dt>
              <dd>${latency(each.toAccepted)}</dd>
              <dt>How soon delivered</dt>
              <dd>${latency(each.toDelivered)}</dd>
            </dl>
          </li>
        `,
      )}
    </ul>
  `;
}

function latency(found) {
  if (!found) return "not told";
  const short = (text) => (duration(text) < 10_000 ? `${(duration(text) / 1000).toFixed(1)} s` : span(duration(text)));
  return `half within ${short(found.median)}, 95 % within ${short(found.p95)}`;
}

function Troubled({ found }) {
  if (!found.length)
    return html`
      <p>No page failed in this time.</p>
    `;
  return html`
    <section class="part" aria-labelledby="troubled">
      <h2 id="troubled">Failed or unknown</h2>
      <ol class="plain">
        ${found.map(
          (each) => html`
            <li key=${each.pageId}>
              <p>
                <strong>${moment(each.createdAt)}</strong>
                ${`, ${outcome(each)}`}${each.drill ? ", drill" : ""}
              </p>
            </li>
          `,
        )}
      </ol>
    </section>
  `;
}
