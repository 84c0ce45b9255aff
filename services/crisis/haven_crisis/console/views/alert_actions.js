/** What a responder does about an alert. One form at a time; the next sensible step stands first. */
import { html, useRef, useSignal } from "../lib/html.js";
import { refocus } from "../lib/ahead.js";
import { post } from "../lib/api.js";
import { waits } from "../lib/calling.js";
import { noteAlert } from "../lib/live.js";
import { Form, tell, useAct } from "../lib/parts.js";
import { colleagues, nameOf, onCall } from "../lib/people.js";
import { session } from "../lib/sign_in.js";
import { SEVERITIES, WAYS } from "../lib/words.js";
import { Closing } from "./closing.js";

const ROTATION = "rotation/";
const LOOKS_ON = "You are watching this alert. Paging goes on as before.";
const LOOKED_ON = "You are not watching this alert any more.";
const NOTE = { name: "note", label: "Note for those who help", kind: "area", maxlength: 4000 };

/** Each: when it is offered, what it is called, its form. `first`: it is the next sensible step. */
const STEPS = {
  contact: {
    label: "Record contact",
    offered: (alert) => alert.state !== "ALERT_STATE_CLOSED",
    first: (alert, mine) => mine && alert.state === "ALERT_STATE_ACKNOWLEDGED",
    path: "recordContact",
    submit: "Record it",
    fields: () => [
      {
        name: "reached",
        label: "Did you reach them?",
        kind: "choice",
        required: true,
        options: { yes: "Yes, we spoke", no: "Tried, not reached" },
      },
      { name: "way", label: "How", kind: "select", options: WAYS, required: true },
      NOTE,
    ],
    body: ({ reached, way, note }) => ({ reached: reached === "yes", way, note }),
    done: ({ reached }) =>
      reached === "yes"
        ? "Contact is recorded. Paging has stopped."
        : "The try is recorded; you have the same time again.",
  },
  stabilised: {
    label: "Safe for now",
    offered: (alert) => alert.state === "ALERT_STATE_CONTACTED",
    first: () => true,
    path: "recordStabilised",
    submit: "Record that they are safe for now",
    fields: () => [NOTE],
    body: ({ note }) => ({ note }),
    done: () => "Recorded. The alert stays open until it is closed.",
  },
  close: {
    label: "Close",
    offered: (alert) => ["ALERT_STATE_CONTACTED", "ALERT_STATE_STABILISED"].includes(alert.state),
    first: (alert) => alert.state === "ALERT_STATE_STABILISED",
  },
  longer: {
    label: "Need longer",
    offered: (alert, mine) => mine && alert.state === "ALERT_STATE_ACKNOWLEDGED" && !alert.leaseRenewed,
    path: "renewLease",
    submit: "Take longer, once",
    fields: () => [{ name: "reason", label: "Why it takes longer", kind: "area", required: true, maxlength: 2000 }],
    body: ({ reason }) => ({ reason }),
    done: () => "You have the time once more.",
  },
  handOver: {
    label: "Hand over",
    offered: (alert, mine) => mine && alert.state !== "ALERT_STATE_CLOSED",
    path: "offerHandOver",
    submit: "Ask them now",
    fields: () => [
      {
        name: "responderId",
        label: "Who is to take it over",
        kind: "select",
        options: colleagues(),
        required: true,
        help: "They are paged at once. You keep it until they accept.",
      },
      { ...NOTE, label: "What they should know", maxlength: 2000 },
    ],
    body: ({ responderId, note }) => ({ responderId, note }),
    done: ({ responderId }) => `${nameOf(responderId)} is asked. You keep it until they accept.`,
  },
  reassign: {
    label: "Give to another",
    offered: (alert) => alert.state !== "ALERT_STATE_CLOSED",
    path: "reassign",
    submit: "Page them now",
    fields: () => [
      {
        name: "to",
        label: "Who is to take it",
        kind: "select",
        options: { ...colleagues(), ...rotations() },
        required: true,
        help: "They are paged at once and have to take it. If nobody does in time, paging begins anew.",
      },
      { ...NOTE, label: "What they should know", maxlength: 2000 },
    ],
    body: ({ to, note }) => ({
      ...(to.startsWith(ROTATION) ? { rotationId: to.slice(ROTATION.length) } : { responderId: to }),
      note,
    }),
    done: () => "They are being paged.",
  },
  add: {
    label: "Page one more",
    offered: (alert) => alert.state !== "ALERT_STATE_CLOSED",
    path: "addResponders",
    submit: "Page them too",
    fields: () => [
      {
        name: "responderId",
        label: "Who else is paged",
        kind: "select",
        options: colleagues(),
        required: true,
        help: "Whoever has the alert keeps it.",
      },
      { ...NOTE, label: "What they should know", maxlength: 2000 },
    ],
    body: ({ responderId, note }) => ({ responderIds: [responderId], note }),
    done: ({ responderId }) => `${nameOf(responderId)} is being paged too.`,
  },
  severity: {
    label: "Change severity",
    offered: (alert) => alert.state !== "ALERT_STATE_CLOSED",
    path: "changeSeverity",
    submit: "Change it",
    fields: (alert) => [
      {
        name: "severity",
        label: "How severe it is",
        kind: "choice",
        options: SEVERITIES,
        value: alert.severity,
        required: true,
      },
      {
        name: "reason",
        label: "Why",
        kind: "area",
        required: true,
        maxlength: 2000,
        help: "It stands on the timeline.",
      },
    ],
    body: ({ severity, reason }) => ({ severity, reason }),
    done: () => "The severity is changed.",
  },
};

export function Actions({ alert, again, acknowledge }) {
  const open = useSignal("");
  const [busy, act] = useAct();
  const doing = useRef(null);
  const mine = alert.responderId === session.value.id;
  const offered = Object.keys(STEPS).filter((each) => STEPS[each].offered(alert, mine));
  const next =
    waits(alert) || (!mine && alert.state !== "ALERT_STATE_CLOSED")
      ? ""
      : offered.find((each) => STEPS[each].first?.(alert, mine));
  const go = (selector) => refocus(() => doing.current?.querySelector(selector) ?? doing.current);
  const shut = () => {
    go(`[data-step="${open.value}"]`);
    open.value = "";
  };
  const takeIt = () =>
    act(async () => {
      await acknowledge();
      await again();
      go("[data-next=true]");
    });
  const done = (text) => async (answer) => {
    noteAlert(answer);
    open.value = "";
    tell(text);
    await again();
    go("[data-next=true]");
  };
  const atOnce = (path, body, text) =>
    act(async () => done(text)(await post(`/v1/alerts/${alert.alertId}:${path}`, body)));
  const looksOn = alert.observers?.includes(session.value.id);
  return html`
    <section class="doing" aria-label="What you can do" ref=${doing} tabindex="-1">
      ${
        alert.offeredTo === session.value.id &&
        html`
          <div class="hint">
            <p>${nameOf(alert.responderId)} asks you to take this over.</p>
            <button
              type="button"
              class="primary"
              data-next=${true}
              aria-disabled=${busy}
              onClick=${() => atOnce("answerHandOver", { accept: true }, "You have it now.")}
            >
              Take it over
            </button>
            <button
              type="button"
              aria-disabled=${busy}
              onClick=${() => atOnce("answerHandOver", { accept: false }, "Declined. They keep it.")}
            >
              I cannot
            </button>
          </div>
        `
      }
      ${
        mine &&
        alert.offeredTo &&
        html`
          <p>${nameOf(alert.offeredTo)} is asked to take it over. You keep it until they accept.</p>
        `
      }
      <div class="actions">
        ${
          waits(alert) &&
          html`
            <button type="button" class="primary" data-next=${true} onClick=${takeIt} aria-disabled=${busy}>
              ${busy ? "Taking…" : "Acknowledge"}
            </button>
          `
        }
        ${offered.map(
          (each) => html`
            <button
              type="button"
              key=${each}
              class=${each === next ? "primary" : ""}
              data-step=${each}
              data-next=${each === next}
              aria-expanded=${open.value === each}
              onClick=${() => (open.value = open.value === each ? "" : each)}
            >
              ${STEPS[each].label}
            </button>
          `,
        )}
        ${
          !mine &&
          alert.state !== "ALERT_STATE_CLOSED" &&
          html`
            <button
              type="button"
              aria-pressed=${looksOn}
              aria-disabled=${busy}
              onClick=${() => (looksOn ? atOnce("stopObserving", {}, LOOKED_ON) : atOnce("observe", {}, LOOKS_ON))}
            >
              ${looksOn ? "Stop looking on" : "Look on"}
            </button>
          `
        }
      </div>
      ${
        open.value === "close" &&
        html`
          <${Closing}
            alert=${alert}
            done=${done("The alert is closed. The follow-up stands in the list.")}
            cancel=${shut}
          />
        `
      }
      ${
        open.value &&
        open.value !== "close" &&
        html`
          <${Step} key=${open.value} name=${open.value} alert=${alert} done=${done} cancel=${shut} />
        `
      }
    </section>
  `;
}

function Step({ name, alert, done, cancel }) {
  const step = STEPS[name];
  return html`
    <${Form}
      name=${`${alert.alertId}/${name}`}
      label=${step.label}
      fields=${step.fields(alert)}
      submit=${step.submit}
      cancel=${cancel}
      send=${async (values) => {
        const answer = await post(`/v1/alerts/${alert.alertId}:${step.path}`, step.body(values));
        await done(step.done(values))(answer);
      }}
    />
  `;
}

/** Rotations that have somebody on call now. */
function rotations() {
  return Object.fromEntries(
    (onCall.value?.duties ?? []).map((each) => [
      ROTATION + each.rotationId,
      `Whoever is on call: ${each.rotationName}`,
    ]),
  );
}
