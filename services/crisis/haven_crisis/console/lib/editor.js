/** Editors of what is saved as a whole: a draft that outlives the view, refusals by field, and versions by etag. */
import { html, useRef, useSignal } from "./html.js";
import { focusOn, Opens } from "./ahead.js";
import { del } from "./api.js";
import { draft, dropDraft, Form, say, setDraft, tell, tellWhy } from "./parts.js";
import { putBack } from "./plan.js";
import { go } from "./router.js";

const STALE = 412;
let keys = 0;

/** Items of a list, each with a key that stays its own when the list is put in another order. */
export const keyed = (items) => items.map((each) => ({ key: `${++keys}`, ...each }));

/** Whether somebody typed something that is not saved. */
export const unsaved = (name) => draft(name).value !== undefined;

/** What is new, with an id that it keeps while it is written, so that one that is sent twice is one. */
export function firstOf(name, made) {
  const kept = draft(name).first ?? made();
  setDraft(name, { first: kept });
  return kept;
}

/**
 * A form over `saved`, whose fields `children(edit)` shows: `edit.value`, `edit.change(part)`, and for a path such as
 * "steps[0].wait" `edit.field(path)`, its id and what is wrong with it. `save(value)` writes it, `done(answer)` goes on.
 * `read()` brings what is saved by then, `again()` shows it. `root` is what violations name it by; `place(path)` says in
 * words where a field is.
 */
export function Editor({ name, label, root, saved, read, again, save, done, place, children }) {
  const state = useSignal({ busy: false, problem: null });
  const summary = useRef(null);
  const { value = saved, mine, over } = draft(name);
  const { busy, problem } = state.value;
  const id = (path) => `${name}-${path}`.replace(/[^\w-]+/g, "-");
  const change = (part) => setDraft(name, { value: { ...(draft(name).value ?? saved), ...part } });
  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    state.value = { busy: true, problem: null };
    try {
      const answer = await save(value);
      dropDraft(name);
      state.value = { busy: false, problem: null };
      done(answer);
    } catch (refusal) {
      state.value = { busy: false, problem: refusal };
      focusOn(() => summary.current);
    }
  };
  const load = async () => {
    try {
      setDraft(name, { mine: value, value: await read(), over: false });
      state.value = { busy: false, problem: null };
      say("You see what was saved meanwhile.");
      focusOn(() => summary.current);
    } catch (failed) {
      tellWhy(failed);
    }
  };
  const forget = () => {
    const kept = draft(name);
    dropDraft(name);
    state.value = { busy: false, problem: null };
    tell("What you typed is gone from here.", [{ label: "Bring it back", act: () => setDraft(name, kept) }]);
    again();
    focusOn(() => document.querySelector("h1"));
  };
  return html`
    <form class="editor" onSubmit=${submit} aria-label=${label} aria-busy=${busy}>
      ${children({ value, change, field: (path) => ({ id: id(path), wrong: wrongAt(problem, `${root}.${path}`) }) })}
      <div ref=${summary} tabindex="-1" class="summary">
        ${
          mine &&
          html`
            <${Meanwhile}
              back=${() => {
                setDraft(name, { value: { ...mine, etag: value.etag }, mine: undefined, over: true });
                focusOn(() => summary.current);
              }}
              forget=${forget}
            />
          `
        }
        ${
          over &&
          html`
            <p class="cautions" role="status">
              What you typed is here again. Saving it replaces what was saved meanwhile.
            </p>
          `
        }
        ${
          problem &&
          (problem.status === STALE
            ? html`
                <${Stale} load=${load} />
              `
            : html`
                <${Refusal} problem=${problem} place=${place} root=${root} id=${id} />
              `)
        }
      </div>
      <div class="actions">
        <button class="primary" aria-disabled=${busy}>${busy ? "Sending…" : "Save"}</button>
        ${
          unsaved(name) &&
          !mine &&
          html`
            <button type="button" onClick=${forget}>Forget my changes</button>
          `
        }
      </div>
    </form>
  `;
}

/** What is wrong with a field, or with a part of it. */
function wrongAt(problem, path) {
  const found = (problem?.violations ?? []).filter(
    ({ field }) => field === path || field.startsWith(`${path}.`) || field.startsWith(`${path}[`),
  );
  return found.map((each) => each.message).join(" ") || undefined;
}

function Stale({ load }) {
  return html`
    <div class="trouble" role="alert">
      <p>
        <strong>Not saved: somebody else saved it after you had opened it.</strong>
        ${" "}What you typed stays here. Look at what is saved now, then choose.
      </p>
      <p class="actions"><button type="button" onClick=${load}>Show what is saved now</button></p>
    </div>
  `;
}

function Meanwhile({ back, forget }) {
  return html`
    <div class="cautions">
      <p>
        <strong>You see what was saved meanwhile.</strong>
        ${" "}What you typed before is kept.
      </p>
      <p class="actions">
        <button type="button" onClick=${back}>Back to what I typed</button>
        <button type="button" onClick=${forget}>Forget what I typed</button>
      </p>
    </div>
  `;
}

/** Why it was not saved: each sentence as the service says it, and the way to its field. */
function Refusal({ problem, place, root, id }) {
  const violations = problem.violations ?? [];
  const focus = (field) => {
    let path = field.replace(`${root}.`, "");
    while (path && !document.getElementById(id(path))) path = path.replace(/(^|[.[])[^.[]*$/, "");
    const found = path && document.getElementById(id(path));
    (found?.matches("fieldset") ? found.querySelector("input, select, button") : found)?.focus();
  };
  return html`
    <div class="trouble" role="alert">
      <p>
        <strong>Not saved.</strong>
        ${violations.length === 0 && ` ${problem.message}`}
      </p>
      ${
        violations.length > 0 &&
        html`
          <ul class="plain">
            ${violations.map(({ field, message, rule }) => {
              const where = place(field);
              return html`
                <li>
                  ${
                    where
                      ? html`
                          <button type="button" class="link" onClick=${() => focus(field)}>
                            ${rule === "refused" ? message : `${where}: ${message}`}
                          </button>
                        `
                      : html`
                          <p>${rule === "refused" ? message : `${field}: ${message}`}</p>
                        `
                  }
                </li>
              `;
            })}
          </ul>
        `
      }
    </div>
  `;
}

/**
 * Buttons that move one of a list, or take it out, each named for `what` it is: "step 2". The focus goes along, or to
 * the button that adds one (`${id}-add`).
 */
export function Moves({ id, list, place, what, set, least = 1, ordered = true }) {
  const { key } = list[place];
  const button = (verb) => document.getElementById(`${id}-${key}-${verb}`);
  const move = (to, verb) => {
    const moved = list.filter((each) => each.key !== key);
    moved.splice(to, 0, list[place]);
    set(moved);
    say(`Moved ${verb}: it is number ${to + 1} of ${list.length} now.`);
    focusOn(() => button(verb) ?? button(verb === "up" ? "down" : "up"));
  };
  const remove = () => {
    set(list.filter((each) => each.key !== key));
    say(`Removed ${what}.`);
    focusOn(() => document.getElementById(`${id}-add`));
  };
  return html`
    <div class="actions moves">
      ${
        ordered &&
        place > 0 &&
        html`
          <button
            type="button"
            id=${`${id}-${key}-up`}
            aria-label=${`Move ${what} up`}
            onClick=${() => move(place - 1, "up")}
          >
            Up
          </button>
        `
      }
      ${
        ordered &&
        place < list.length - 1 &&
        html`
          <button
            type="button"
            id=${`${id}-${key}-down`}
            aria-label=${`Move ${what} down`}
            onClick=${() => move(place + 1, "down")}
          >
            Down
          </button>
        `
      }
      ${
        list.length > least &&
        html`
          <button type="button" aria-label=${`Remove ${what}`} onClick=${remove}>Remove</button>
        `
      }
    </div>
  `;
}

/** Takes a `what` ("policy") out of the plan after one more tap, and offers to put it back. `view` lists the others. */
export function TakeOut({ what, id, name, path, view, children }) {
  const label = `Take this ${what} out`;
  const send = async () => {
    const { changeId } = await del(path);
    const actions = [{ label: "Put it back", act: () => putBack(changeId, `${view}/${id}`) }];
    go(view, () => tell(`${name} is taken out.`, actions));
  };
  return html`
    <${Opens} label=${label}>
      ${(close) => html`
        <${Form}
          name=${`take-out/${id}`}
          label=${label}
          submit="Take it out"
          cancel=${close}
          fields=${[]}
          send=${send}
        >
          ${children}
        <//>
      `}
    <//>
  `;
}

/** A button that adds one to a list, and gives the focus to its first field. */
export function Add({ id, list, made, set, children }) {
  const add = () => {
    const [item] = keyed([made()]);
    set([...list, item]);
    focusOn(() => document.querySelector(`[data-key="${item.key}"]`)?.querySelector("input, select, button"));
  };
  return html`
    <p class="actions"><button type="button" id=${`${id}-add`} onClick=${add}>${children}</button></p>
  `;
}
