/** What a change would do, shown before it is made: asked of the service a moment after the last key. */
import { html, useEffect, useRef, useSignal } from "./html.js";
import { say, Trouble } from "./parts.js";
import { moment } from "./words.js";

const PAUSE_MS = 400;

/**
 * What `ask()` answers about `question` (null: too little is given yet, which `missing` says), shown by
 * `children(value)`, told to screen readers in the words of `summary(value)`.
 */
export function Ahead({ title, question, ask, missing, summary, children }) {
  const found = useSignal({ state: "none" });
  const asked = question === null ? null : JSON.stringify(question);
  useEffect(() => {
    let over = false;
    const answer = async () => {
      let next;
      try {
        next = { state: "here", value: await ask() };
      } catch (problem) {
        next = problem.status === 400 ? { state: "none" } : { state: "failed", problem };
      }
      if (over) return;
      found.value = next;
      if (next.value) say(summary(next.value));
    };
    if (asked === null) {
      found.value = { state: "none" };
      return undefined;
    }
    found.value = { ...found.value, state: "looking" };
    const timer = setTimeout(answer, PAUSE_MS);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [asked]);
  const { state, value, problem } = found.value;
  return html`
    <div class="ahead" role="group" aria-label=${title} aria-busy=${state === "looking"}>
      <p><strong>${title}</strong></p>
      ${
        state === "none" &&
        html`
          <p class="quiet">${missing}</p>
        `
      }
      ${
        state === "looking" &&
        html`
          <p class="quiet">Looking ahead.</p>
        `
      }
      ${
        state === "failed" &&
        html`
          <${Trouble} problem=${problem} />
        `
      }
      ${state === "here" && children(value)}
    </div>
  `;
}

/** What a rotation leaves open, a draft or as it is `saved`: each sentence as the service says it. */
export function Coverage({ problems, refused = [], overlaps, checkedUntil, saved = false }) {
  const old = problems.filter((each) => !refused.includes(each));
  return html`
    ${
      problems.length + refused.length === 0 &&
      html`
        <p>Somebody is on call at every moment until ${moment(checkedUntil)}.</p>
      `
    }
    ${
      refused.length > 0 &&
      html`
        <${Open} title="This would be refused:" problems=${refused} />
      `
    }
    ${
      old.length > 0 &&
      html`
        <${Open} title=${saved ? "This has to be mended:" : "This was so before, and stays:"} problems=${old} />
      `
    }
    ${
      overlaps.length > 0 &&
      html`
        <details>
          <summary>Two at once (${overlaps.length})</summary>
          <ul>
            ${overlaps.map(
              (each) => html`
                <li>${each.message}</li>
              `,
            )}
          </ul>
        </details>
      `
    }
  `;
}

function Open({ title, problems }) {
  return html`
    <div class="cautions">
      <p><strong>${title}</strong></p>
      <ul>
        ${problems.map(
          (each) => html`
            <li>${each}</li>
          `,
        )}
      </ul>
    </div>
  `;
}

/** The same for screen readers, in a few words. */
export const inShort = ({ problems, refused = [] }) => {
  if (refused.length) return `It would be refused: ${refused[0]}`;
  return problems.length ? `As before: ${problems[0]}` : "Somebody is on call at every moment.";
};

/** A button, `beside` others, that opens something beneath it, `children(close)`. Closing it brings the focus back. */
export function Opens({ label, about = "", tone = "", beside, children }) {
  const open = useSignal(false);
  const button = useRef(null);
  const close = () => {
    open.value = false;
    focusOn(() => button.current);
  };
  return html`
    <p class="actions">
      <button
        type="button"
        ref=${button}
        class=${tone}
        aria-label=${about ? `${label}: ${about}` : undefined}
        aria-expanded=${open.value}
        onClick=${() => (open.value ? close() : (open.value = true))}
      >
        ${label}
      </button>
      ${beside}
    </p>
    ${open.value && children(close)}
  `;
}

/** Give the focus to what `find` finds, once it is drawn. */
export function focusOn(find) {
  requestAnimationFrame(() => requestAnimationFrame(() => find()?.focus()));
}

/** The same where the focus was lost with what had it, and nowhere else: somebody may be typing by then. */
export function refocus(find) {
  focusOn(() => (document.activeElement === document.body ? find() : null));
}
