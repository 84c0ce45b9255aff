/** The console: signs in, keeps the alerts live, shows one view at a time. */
import { html, render, useEffect } from "./lib/html.js";
import { needsTouch, ring, wake } from "./lib/calling.js";
import { alerts, connection, standing, watch } from "./lib/live.js";
import { learnNames } from "./lib/people.js";
import { notice, spoken } from "./lib/parts.js";
import { go, route } from "./lib/router.js";
import { device, loadConfig, showTheme } from "./lib/settings.js";
import { resume, session, signIn, signInAgain, signOut, trouble } from "./lib/sign_in.js";
import { clock, now, span } from "./lib/words.js";
import { ADMINISTRATOR, NAV, VIEWS } from "./views/index.js";
import { waiting } from "./views/alerts.js";

const NOTICE_MS = 20_000;

function App() {
  const { state, roles } = session.value;
  useEffect(() => {
    document.title = waiting(alerts.value).length ? "(!) Haven on call" : "Haven on call";
  });
  if (state === "out")
    return html`
      <${SignIn} />
    `;
  const { name, id } = route.value;
  const found = Object.hasOwn(VIEWS, name) && VIEWS[name];
  const view = found && (!found.for || found.for(roles)) ? found : VIEWS.none;
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <header>
      <p class="brand">
        Haven${" "}
        <span>on call</span>
      </p>
      <${Connection} />
      <button type="button" class="quiet" onClick=${signOut}>Sign out</button>
    </header>
    ${
      state === "expired" &&
      html`
        <${Expired} />
      `
    }
    <nav aria-label="Views">
      ${NAV.map(
        (each) => html`
          <a href=${`#/${each}`} aria-current=${name === each || view.under === each ? "page" : undefined}>
            ${VIEWS[each].title}${
              each === "alerts" &&
              waiting(alerts.value).length > 0 &&
              html`
                ${" "}
                <${Count} />
              `
            }
          </a>
        `,
      )}
    </nav>
    ${
      needsTouch.value &&
      html`
        <p class="hint" role="status">
          The browser keeps this page silent until you tap it.${" "}
          <button type="button" onClick=${wake}>Let it sound</button>
        </p>
      `
    }
    <main id="main" tabindex="-1">
      <${view.show} key=${`${name}/${id}`} id=${id} administrator=${roles.includes(ADMINISTRATOR)} />
    </main>
    <${Notice} />
    <${Spoken} />
  `;
}

function Count() {
  const count = waiting(alerts.value).length;
  return html`
    <span class="count" aria-label=${`${count} waiting`}>${count}</span>
  `;
}

function SignIn() {
  return html`
    <main class="centred">
      <h1>Haven on call</h1>
      <p>Sign in to see alerts and to take them.</p>
      ${
        trouble.value &&
        html`
          <p role="alert" class="trouble">${trouble.value}</p>
        `
      }
      <button type="button" class="primary big" onClick=${signIn}>Sign in</button>
      <p class="quiet">Someone in danger now? Call your local emergency number. You need no console for that.</p>
    </main>
    <${Spoken} />
  `;
}

function Expired() {
  return html`
    <section class="trouble" role="alert" aria-label="Signed out">
      <p>Your sign-in has run out. What you see is from before, and what you typed is kept.</p>
      ${
        trouble.value &&
        html`
          <p>${trouble.value}</p>
        `
      }
      <button type="button" class="primary" onClick=${signInAgain}>Sign in again</button>
    </section>
  `;
}

/** Whether what is shown is true now; if not, since when. */
function Connection() {
  const { heardAt, why } = connection.value;
  const signedOut = session.value.state === "expired";
  if (standing.value === "live")
    return html`
      <p class="connection live">
        <span aria-hidden="true">● </span>
        Live
      </p>
    `;
  if (standing.value === "connecting" && !signedOut)
    return html`
      <p class="connection">Connecting</p>
    `;
  const age = heardAt
    ? `What you see is ${span(now.value - heardAt)} old, from ${clock(heardAt)}.`
    : "Nothing could be read yet.";
  return html`
    <p class="connection lost">
      <strong role="alert">
        ${signedOut ? "Signed out. Nothing new comes until you sign in again." : "Connection lost, trying again."}
      </strong>
      ${" "}
      <span>${why ? `${why} ` : ""}${age}</span>
    </p>
  `;
}

function Notice() {
  const shown = notice.value;
  useEffect(() => {
    if (!shown || shown.stays) return undefined;
    const timer = setTimeout(() => (notice.value = null), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  if (!shown) return null;
  return html`
    <aside class="notice" aria-label="What was done">
      <p>${shown.text}</p>
      ${shown.actions.map(
        (each) => html`
          <button type="button" onClick=${() => ((notice.value = null), each.act())}>${each.label}</button>
        `,
      )}
      <button type="button" onClick=${() => (notice.value = null)}>Dismiss</button>
    </aside>
  `;
}

function Spoken() {
  return html`
    <div class="unseen" aria-live="polite">${spoken.value.polite.map(sentence)}</div>
    <div class="unseen" aria-live="assertive">${spoken.value.urgent.map(sentence)}</div>
  `;
}

const sentence = ({ key, text }) =>
  html`
    <p key=${key}>${text}</p>
  `;

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

/** Keys that work outside of fields, unless they are turned off for this device. Listed under "Keys". */
const KEYS = { a: "alerts", f: "follow-ups", o: "on-call", m: "more", "?": "keys" };

function onKey(event) {
  const typing = event.target.closest?.("input,textarea,select");
  if (!device.value.keys || typing) return;
  if (event.ctrlKey || event.metaKey || event.altKey || session.value.state === "out") return;
  if (KEYS[event.key]) go(KEYS[event.key]);
  else if (event.key === "n") document.querySelector("[data-next=true]")?.focus();
  else return;
  event.preventDefault();
}

showTheme();
addEventListener("hashchange", () => (notice.value = null));
addEventListener("keydown", onKey);
const root = document.getElementById("app");
try {
  await loadConfig();
  if (await resume()) {
    root.replaceChildren();
    render(
      html`
        <${App} />
      `,
      root,
    );
    watch();
    ring();
    learnNames();
  }
} catch (problem) {
  root.querySelector("p").textContent =
    `${problem.message} Reload the page to try again; alerts still reach you by your other channels.`;
}
