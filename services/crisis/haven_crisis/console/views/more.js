/** The other views, and the keys. */
import { html } from "../lib/html.js";
import { Title } from "../lib/parts.js";
import { session } from "../lib/sign_in.js";
import { VIEWS } from "./index.js";

export function More() {
  const { roles } = session.value;
  const offered = Object.entries(VIEWS).filter(([, each]) => each.under === "more" && (!each.for || each.for(roles)));
  return html`
    <${Title}>More<//>
    <ul class="cards">
      ${offered.map(
        ([name, each]) => html`
          <li key=${name}><a class="button wide" href=${`#/${name}`}>${each.title}</a></li>
        `,
      )}
    </ul>
  `;
}

export function None() {
  return html`
    <${Title}>Nothing is here<//>
    <p><a class="button" href="#/alerts">To the alerts</a></p>
  `;
}

const KEYS = [
  ["a", "Alerts"],
  ["n", "To the next thing to do: acknowledge, or the next step of an alert"],
  ["f", "Follow-ups"],
  ["o", "On call"],
  ["m", "More"],
  ["?", "This list"],
];

export function Keys() {
  return html`
    <${Title}>Keys<//>
    <p>Tab and Enter reach everything. While you type into a field, these do nothing.</p>
    <p class="actions"><a class="button" href="#/device">Turn them on or off</a></p>
    <dl class="keys">
      ${KEYS.map(
        ([key, text]) => html`
          <dt><kbd>${key}</kbd></dt>
          <dd>${text}</dd>
        `,
      )}
    </dl>
  `;
}
