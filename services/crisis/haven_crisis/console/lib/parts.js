/** What views are made of: headings that take the focus, forms that keep what was typed, words for screen readers. */
import { html, signal, useEffect, useRef, useSignal } from "./html.js";
import { now, span } from "./words.js";

const SPOKEN = 10;
let sentences = 0;

/**
 * What a screen reader says next, `polite` after what it is saying, `urgent` at once: `[{key, text}]`. A sentence is
 * added to those before it, so that two that come together, or say the same, are both heard.
 */
export const spoken = signal({ polite: [], urgent: [] });
/** What was done last. `{text, actions: [{label, act}], stays}`; one that does not stay is shown for a while. */
export const notice = signal(null);

function speak(how, text) {
  spoken.value = { ...spoken.value, [how]: [...spoken.value[how], { key: ++sentences, text }].slice(-SPOKEN) };
}

export const say = (text) => speak("polite", text);
export const sayAtOnce = (text) => speak("urgent", text);

/** Tell what was done, and what can be done about it. What can be undone stays until it is dismissed. */
export function tell(text, actions = [], stays = actions.length > 0) {
  notice.value = { text, actions, stays };
  say(text);
}

/** Tell why something was not done. */
export function tellWhy(problem) {
  notice.value = { text: problem.message, actions: [], stays: true };
  say(problem.message);
}

/** What buttons do: `act(work)` does nothing while it is `busy`, as a second tap is no second wish, and tells why not. */
export function useAct() {
  const busy = useSignal(false);
  const act = async (work) => {
    if (busy.value) return;
    busy.value = true;
    try {
      await work();
    } catch (problem) {
      tellWhy(problem);
    } finally {
      busy.value = false;
    }
  };
  return [busy.value, act];
}

/** The heading of a view. Takes the focus when the view opens, so that readers and keys begin there. */
export function Title({ children }) {
  const heading = useRef(null);
  useEffect(() => heading.current.focus({ preventScroll: true }), []);
  return html`
    <h1 ref=${heading} tabindex="-1">${children}</h1>
  `;
}

/**
 * What `load` brings, shown by `children(value, again)`; says so when it cannot be brought. `aged`: others change it, so
 * its age is shown, and a way to read it again. Of two readings the one that was begun last counts.
 */
export function Loaded({ load, deps = [], aged = false, children }) {
  const found = useSignal({ state: "loading" });
  const newest = useRef(0);
  const again = async () => {
    const reading = ++newest.current;
    let next;
    try {
      const at = Date.now();
      next = { state: "here", value: await load(), at };
    } catch (problem) {
      next = { ...found.value, state: "failed", problem };
    }
    if (reading === newest.current) found.value = next;
  };
  useEffect(() => {
    again();
  }, deps);
  const { state, value, at, problem } = found.value;
  return html`
    ${
      state === "loading" &&
      html`
        <p>Loading.</p>
      `
    }
    ${
      problem &&
      state === "failed" &&
      html`
        <${Trouble} problem=${problem} again=${again} old=${value !== undefined} />
      `
    }
    ${
      aged &&
      value !== undefined &&
      html`
        <${Age} at=${at} again=${again} />
      `
    }
    ${value !== undefined && children(value, again)}
  `;
}

/** How old what is shown is, and a button that reads it again. */
function Age({ at, again }) {
  const [busy, act] = useAct();
  return html`
    <p class="actions age">
      <span class="quiet">Read ${span(now.value - at)} ago.</span>
      <button type="button" aria-disabled=${busy} onClick=${() => act(again)}>Read again</button>
    </p>
  `;
}

/** What went wrong, in plain words, and how to go on. `shown`: fields that have their own message where they are. */
export function Trouble({ problem, again, old = false, shown = () => false }) {
  const others = problem.violations?.filter((each) => !shown(each));
  const told = problem.violations?.length && !others.length;
  return html`
    <div class="trouble" role="alert">
      <p>${told ? "Not sent. What is wrong stands at its field." : problem.message}${old ? " What you see below is from before." : ""}</p>
      ${others?.map(
        (each) => html`
          <p>${each.field}: ${each.message}</p>
        `,
      )}
      ${
        again &&
        html`
          <button type="button" onClick=${again}>Try again</button>
        `
      }
    </div>
  `;
}

/** What was typed into forms and not sent, by form and field. In memory alone. */
const drafts = signal({});

export function draft(form) {
  return drafts.value[form] ?? {};
}

export function setDraft(form, change) {
  drafts.value = { ...drafts.value, [form]: { ...draft(form), ...change } };
}

/** Forget what was typed into a form. */
export function dropDraft(form) {
  const { [form]: _, ...others } = drafts.value;
  drafts.value = others;
}

/**
 * A form. `fields`: [{name, label, kind, options, value, required, help, ...}]; `send(values)` does it. `options` are
 * texts by value, or such by the name of their group.
 * What is typed outlives the view and a new sign-in, until it was sent.
 */
export function Form({ name, label, fields, submit, send, cancel, tone = "", children }) {
  const state = useSignal({ busy: false, problem: null });
  const values = Object.fromEntries(fields.map((each) => [each.name, draft(name)[each.name] ?? each.value ?? ""]));
  const first = useRef(null);
  // A form that was opened by a tap takes the focus; one that is always there does not.
  useEffect(() => cancel && first.current?.querySelector("input,select,textarea")?.focus(), []);
  const onSubmit = async (event) => {
    event.preventDefault();
    if (state.value.busy) return;
    state.value = { busy: true, problem: null };
    try {
      await send(values);
      dropDraft(name);
      state.value = { busy: false, problem: null };
    } catch (problem) {
      state.value = { busy: false, problem };
    }
  };
  const { busy, problem } = state.value;
  const isOf = (field) => (violation) => violation.field.split(/[.[]/)[0] === field;
  const wrong = (field) => problem?.violations?.find(isOf(field))?.message;
  const shown = (violation) => fields.some((each) => isOf(each.name)(violation));
  return html`
    <form ref=${first} onSubmit=${onSubmit} aria-label=${label} aria-busy=${busy}>
      ${fields.map(
        (each) => html`
          <${Field}
            key=${each.name}
            ...${each}
            id=${`${name}-${each.name}`.replace(/[^\w-]/g, "-")}
            value=${values[each.name]}
            set=${(value) => setDraft(name, { [each.name]: value })}
            wrong=${wrong(each.name)}
          />
        `,
      )}
      ${children}
      ${
        problem &&
        html`
          <${Trouble} problem=${problem} shown=${shown} />
        `
      }
      <div class="actions">
        <button class=${`primary ${tone}`} aria-disabled=${busy}>${busy ? "Sending…" : submit}</button>
        ${
          cancel &&
          html`
            <button type="button" onClick=${cancel}>Not now</button>
          `
        }
      </div>
    </form>
  `;
}

/** One field with its label, its help and what is wrong with it. `set(value)` takes what is typed or chosen. */
export function Field({
  id,
  name,
  label,
  kind = "text",
  options,
  value,
  set: take,
  help,
  wrong,
  required,
  autocomplete = "off",
  ...others
}) {
  const set = (event) => take(kind === "check" ? event.target.checked : event.target.value);
  const notes = [help && `${id}-help`, wrong && `${id}-wrong`].filter(Boolean).join(" ") || undefined;
  const shared = { id, name, required, "aria-describedby": notes, "aria-invalid": wrong ? "true" : undefined };
  if (kind === "choice")
    return html`
      <${Choice} ...${{ id, label, options, value, set, required, help, wrong, notes }} />
    `;
  if (kind === "check")
    return html`
      <div class="field check">
        <input type="checkbox" checked=${Boolean(value)} onChange=${set} ...${shared} />
        <label for=${id}>${label}</label>
        <${Notes} id=${id} help=${help} wrong=${wrong} />
      </div>
    `;
  return html`
    <div class="field">
      <label for=${id}>
        ${label}${
          required
            ? ""
            : html`
                ${" "}
                <span class="quiet">(optional)</span>
              `
        }
      </label>
      ${
        kind === "select" &&
        html`
          <select ...${shared} value=${value} onChange=${set}>
            <option value="" selected=${!value} disabled=${required}>Choose</option>
            ${Object.entries(options).map(([key, text]) =>
              typeof text === "string"
                ? html`
                    <${Option} key=${key} value=${key} text=${text} chosen=${value} />
                  `
                : html`
                    <optgroup key=${key} label=${key}>
                      ${Object.entries(text).map(
                        ([each, shown]) => html`
                          <${Option} key=${each} value=${each} text=${shown} chosen=${value} />
                        `,
                      )}
                    </optgroup>
                  `,
            )}
          </select>
        `
      }
      ${
        kind === "area" &&
        html`
          <textarea rows="4" ...${shared} ...${others} value=${value} onInput=${set}></textarea>
        `
      }
      ${
        !["select", "area"].includes(kind) &&
        html`
          <input type=${kind} autocomplete=${autocomplete} ...${shared} ...${others} value=${value} onInput=${set} />
        `
      }
      <${Notes} id=${id} help=${help} wrong=${wrong} />
    </div>
  `;
}

function Option({ value, text, chosen }) {
  return html`
    <option value=${value} selected=${value === chosen}>${text}</option>
  `;
}

function Choice({ id, label, options, value, set, required, help, wrong, notes }) {
  return html`
    <fieldset class="field" aria-describedby=${notes}>
      <legend>${label}</legend>
      ${Object.entries(options).map(
        ([key, text]) => html`
          <div class="choice">
            <input
              type="radio"
              id=${`${id}-${key}`}
              name=${id}
              value=${key}
              checked=${key === value}
              required=${required}
              onChange=${set}
            />
            <label for=${`${id}-${key}`}>${text}</label>
          </div>
        `,
      )}
      <${Notes} id=${id} help=${help} wrong=${wrong} />
    </fieldset>
  `;
}

function Notes({ id, help, wrong }) {
  return html`
    ${
      help &&
      html`
        <p class="help" id=${`${id}-help`}>${help}</p>
      `
    }
    ${
      wrong &&
      html`
        <p class="wrong" id=${`${id}-wrong`}>${wrong}</p>
      `
    }
  `;
}
