/** How this device calls you: sound, notifications, light or dark. Kept on the device; nothing of anybody's health. */
import { html, useSignal } from "../lib/html.js";
import { sound, wake, worker } from "../lib/calling.js";
import { say, Title } from "../lib/parts.js";
import { device, setDevice } from "../lib/settings.js";

export function Device() {
  const told = useSignal("");
  const toggleSound = async () => {
    setDevice({ sound: !device.value.sound });
    if (device.value.sound) await wake();
  };
  const toggleNotifications = async () => {
    if (device.value.notifications) return setDevice({ notifications: false });
    if (!("Notification" in globalThis)) return (told.value = "This browser shows no notifications.");
    const answer = await Notification.requestPermission();
    if (answer !== "granted")
      return (told.value = "The browser does not permit it. Change that in the settings of this page.");
    await worker();
    told.value = "";
    return setDevice({ notifications: true });
  };
  const test = async () => {
    await wake();
    sound();
    say("This is how an alert sounds.");
  };
  return html`
    <${Title}>This device<//>
    <p>
      The console is a second way to hear of an alert. Pages to your own channels reach you also while it is closed.
    </p>
    <div class="cards">
      <${Switch} on=${device.value.sound} label="Sound" toggle=${toggleSound}>
        Rings until somebody takes the alert. Keep the page open.
      <//>
      <p><button type="button" onClick=${test}>Hear the sound</button></p>
      <${Switch} on=${device.value.notifications} label="Notifications" toggle=${toggleNotifications}>
        They say that there is an alert, and nothing else.
      <//>
      ${
        told.value &&
        html`
          <p role="status">${told.value}</p>
        `
      }
      <${Switch} on=${device.value.keys} label="Keys" toggle=${() => setDevice({ keys: !device.value.keys })}>
        Single letters go to a view; More → Keys lists them. Turn them off where you speak to the device, or hit keys
        without meaning to.
      <//>
      <fieldset>
        <legend>Colours</legend>
        ${Object.entries({ device: "As the device", dark: "Dark", light: "Light" }).map(
          ([key, text]) => html`
            <div class="choice">
              <input
                type="radio"
                name="theme"
                id=${`theme-${key}`}
                checked=${device.value.theme === key}
                onChange=${() => setDevice({ theme: key })}
              />
              <label for=${`theme-${key}`}>${text}</label>
            </div>
          `,
        )}
      </fieldset>
    </div>
  `;
}

function Switch({ on, label, toggle, children }) {
  return html`
    <div class="card">
      <p class="actions">
        <button type="button" role="switch" aria-checked=${on} onClick=${toggle}>${label}: ${on ? "on" : "off"}</button>
      </p>
      <p>${children}</p>
    </div>
  `;
}
