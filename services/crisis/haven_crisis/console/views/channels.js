/** How the signed-in responder is paged: channels in their order, each shown to reach them by a code. */
import { html, useSignal } from "../lib/html.js";
import { refocus } from "../lib/ahead.js";
import { get, post, put } from "../lib/api.js";
import { subscribe } from "../lib/push.js";
import { Form, Loaded, tell, Title, useAct } from "../lib/parts.js";
import { config } from "../lib/settings.js";
import { session } from "../lib/sign_in.js";
import { moment } from "../lib/words.js";

const KINDS = { email: "Email", sms: "Text message", voice: "Phone call", webhook: "Webhook" };
const SHOWN = {
  ...KINDS,
  pagerDuty: "PagerDuty",
  alertmanager: "Alertmanager",
  webPush: "Notifications of a browser",
  apprise: "Another service",
};
const FIELDS = {
  email: "address",
  sms: "number",
  voice: "number",
  webhook: "url",
  alertmanager: "url",
  webPush: "endpoint",
};

export function Channels() {
  const address = `/v1/on-call/responders/${encodeURIComponent(session.value.id)}`;
  return html`
    <${Title}>My channels<//>
    <p>
      You are paged on the first, and on the next when it fails. To be put on call you need two that a code has shown to
      reach you, with different providers.
    </p>
    <${Loaded} load=${() => get(address)}>
      ${(responder, again) => html`
        <ol class="cards">
          ${responder.channels.map(
            (each) => html`
              <li key=${each.channelId}>
                <${Channel} channel=${each} responder=${responder} address=${address} again=${again} />
              </li>
            `,
          )}
        </ol>
        <${Add} responder=${responder} address=${address} again=${again} />
      `}
    <//>
  `;
}

function Channel({ channel, responder, address, again }) {
  const sent = useSignal(false);
  const [busy, act] = useAct();
  const kind = Object.keys(SHOWN).find((each) => channel[each]);
  const send = () =>
    act(async () => {
      const { goodForSeconds } = await post(`${address}:sendCode`, { channelId: channel.channelId });
      sent.value = true;
      tell(`A code is on its way. It is good for ${Math.round(goodForSeconds / 60)} minutes.`);
    });
  const remove = () =>
    act(async () => {
      await save(
        address,
        responder,
        responder.channels.filter((each) => each !== channel),
      );
      tell("The channel is removed.");
      await again();
      refocus(() => document.querySelector("h1"));
    });
  return html`
    <article class="card" aria-label=${SHOWN[kind]}>
      <p><strong>${SHOWN[kind]}</strong></p>
      ${
        FIELDS[kind] &&
        kind !== "webPush" &&
        html`
          <p class="note">${channel[kind][FIELDS[kind]]}</p>
        `
      }
      <p>${channel.verifiedAt ? `Reached you ${moment(channel.verifiedAt)}.` : "Not verified yet."}</p>
      <p class="actions">
        <button
          type="button"
          class=${channel.verifiedAt ? "" : "primary"}
          aria-disabled=${busy}
          onClick=${send}
        >
          Send a code
        </button>
        <button type="button" aria-disabled=${busy} onClick=${remove}>Remove</button>
      </p>
      ${
        sent.value &&
        html`
          <${Form}
            name=${`code/${channel.channelId}`}
            label="Give the code"
            submit="Verify"
            fields=${[
              {
                name: "code",
                label: "The six digits that came",
                required: true,
                inputmode: "numeric",
                pattern: "\\d{6}",
                maxlength: 6,
                autocomplete: "one-time-code",
              },
            ]}
            send=${async ({ code }) => {
              await post(`${address}:verifyChannel`, { channelId: channel.channelId, code });
              sent.value = false;
              tell("The channel reaches you.");
              await again();
              refocus(() => document.querySelector("h1"));
            }}
          />
        `
      }
    </article>
  `;
}

function Add({ responder, address, again }) {
  const [busy, act] = useAct();
  const add = async (channel) => {
    await save(address, responder, [...responder.channels, channel]);
    tell("The channel is added. Send it a code to show that it reaches you.");
    again();
  };
  const browser = () => act(async () => add({ webPush: await subscribe() }));
  return html`
    <section class="part" aria-labelledby="add">
      <h2 id="add">Add a channel</h2>
      ${
        config.webPushKey &&
        html`
          <p class="actions">
            <button type="button" aria-disabled=${busy} onClick=${browser}>Notifications of this browser</button>
          </p>
        `
      }
      <${Form}
        name="channel"
        label="Add a channel"
        submit="Add it"
        fields=${[
          { name: "kind", label: "How", kind: "select", options: KINDS, required: true },
          {
            name: "where",
            label: "Address or number",
            required: true,
            maxlength: 1000,
            help: "Numbers with their country: +15551234567.",
          },
        ]}
        send=${({ kind, where }) => add({ [kind]: { [FIELDS[kind]]: where.trim() } })}
      />
    </section>
  `;
}

/** The whole responder again, with these channels. Rules and quiet hours stay as they are. */
function save(address, responder, channels) {
  const { responderId, name, rules, drillQuietHours, etag } = responder;
  const kept = channels.map(({ channelId: _id, verifiedAt: _at, ...each }) => each);
  return put(address, { responderId, name, channels: kept, rules, ...(drillQuietHours && { drillQuietHours }), etag });
}
