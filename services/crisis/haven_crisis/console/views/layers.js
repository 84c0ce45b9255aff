/** The layers of a rotation, as its editor shows them: who takes turns, how long, from when, at which times of the week. */
import { html } from "../lib/html.js";
import { Add, Moves } from "../lib/editor.js";
import { Field } from "../lib/parts.js";
import { newLayer, newResponder, newWindow, UNITS, WEEKDAYS } from "../lib/rotation_form.js";

const ZONES = Intl.supportedValuesOf("timeZone");

export function Layers({ layers, set, field, responders }) {
  const { id } = field("layers");
  const replace = (layer, part) => set(layers.map((each) => (each.key === layer.key ? { ...each, ...part } : each)));
  return html`
    <datalist id="zones">
      ${ZONES.map(
        (each) => html`
          <option value=${each}></option>
        `,
      )}
    </datalist>
    ${
      layers.length > 1 &&
      html`
        <p class="help">Where two layers have somebody on call, the later one counts.</p>
      `
    }
    ${layers.map(
      (layer, place) => html`
        <fieldset key=${layer.key} data-key=${layer.key} class="step" id=${field(`layers[${place}]`).id}>
          <legend>Layer ${place + 1}</legend>
          <${Layer}
            layer=${layer}
            number=${place + 1}
            at=${(part) => field(`layers[${place}].${part}`)}
            set=${(part) => replace(layer, part)}
            responders=${responders}
          />
          <${Moves} id=${id} list=${layers} place=${place} what=${`layer ${place + 1}`} set=${set} />
        </fieldset>
      `,
    )}
    <${Add} id=${id} list=${layers} made=${newLayer} set=${set}>Add a layer<//>
  `;
}

function Layer({ layer, number, at, set, responders }) {
  const text = (part, given) => html`
    <${Field} ...${at(part)} value=${layer[part]} set=${(value) => set({ [part]: value })} ...${given} />
  `;
  return html`
    ${text("name", { label: "Name of the layer", maxlength: 200 })}
    <${Turns} layer=${layer} number=${number} at=${at} set=${set} responders=${responders} />
    <div class="pair">
      ${text("turn", {
        label: "Length of a turn",
        kind: "number",
        inputmode: "numeric",
        min: layer.unit === "hours" ? 4 : 1,
        max: layer.unit === "hours" ? 2160 : 90,
        required: true,
      })}
      ${text("unit", { label: "in", kind: "select", options: UNITS, required: true })}
    </div>
    <div class="pair">
      ${text("handOver", { label: "Hand-over at", kind: "time", required: true })}
      ${text("firstDay", { label: "First day", kind: "date", min: "2000-01-01", max: "2099-12-31", required: true })}
    </div>
    ${text("timeZone", {
      label: "Time zone",
      list: "zones",
      required: true,
      maxlength: 64,
      help: "By place, as Europe/Berlin. Hand-over is at the same wall time all year.",
    })}
    <${Windows} layer=${layer} number=${number} at=${at} set=${set} />
  `;
}

function Turns({ layer, number, at, set, responders }) {
  const { id, wrong } = at("responderIds");
  const change = (changed) => set({ responders: changed });
  return html`
    <fieldset class="field step" id=${id} aria-describedby=${wrong && `${id}-wrong`}>
      <legend>Who takes turns, in this order</legend>
      ${layer.responders.map(
        (each, place) => html`
          <div class="row" key=${each.key} data-key=${each.key}>
            <${Field}
              id=${`${id}-${place}`}
              label=${`Turn ${place + 1}`}
              kind="select"
              options=${responders}
              value=${each.id}
              set=${(chosen) =>
                change(layer.responders.map((other) => (other.key === each.key ? { ...other, id: chosen } : other)))}
              required=${true}
            />
            <${Moves}
              id=${id}
              list=${layer.responders}
              place=${place}
              what=${`turn ${place + 1} of layer ${number}`}
              set=${change}
            />
          </div>
        `,
      )}
      ${
        wrong &&
        html`
          <p class="wrong" id=${`${id}-wrong`}>${wrong}</p>
        `
      }
      <${Add} id=${id} list=${layer.responders} made=${newResponder} set=${change}>Add a turn to layer ${number}<//>
    </fieldset>
  `;
}

function Windows({ layer, number, at, set }) {
  const { id, wrong } = at("windows");
  const change = (changed) => set({ windows: changed });
  return html`
    ${layer.windows.map(
      (each, place) => html`
        <${OneWindow}
          key=${each.key}
          item=${each}
          number=${place + 1}
          id=${`${id}-${place}`}
          set=${(part) =>
            change(layer.windows.map((other) => (other.key === each.key ? { ...other, ...part } : other)))}
        >
          <${Moves}
            id=${id}
            list=${layer.windows}
            place=${place}
            what=${`times ${place + 1} of layer ${number}`}
            set=${change}
            least=${0}
            ordered=${false}
          />
        <//>
      `,
    )}
    ${
      wrong &&
      html`
        <p class="wrong">${wrong}</p>
      `
    }
    <${Add} id=${id} list=${layer.windows} made=${newWindow} set=${change}>
      ${layer.windows.length ? "Add more times of the week" : "Limit to times of the week"}
    <//>
  `;
}

function OneWindow({ item, number, id, set, children }) {
  const { days, starts, ends } = item;
  const toggle = (day) => (checked) =>
    set({ days: Object.keys(WEEKDAYS).filter((each) => (each === day ? checked : days.includes(each))) });
  return html`
    <fieldset class="step" id=${id} data-key=${item.key}>
      <legend>Times ${number}</legend>
      <p class="help">The days on which it begins; none chosen means every day.</p>
      <div class="days">
        ${Object.entries(WEEKDAYS).map(
          ([day, text]) => html`
            <${Field}
              key=${day}
              id=${`${id}-${day}`}
              kind="check"
              label=${text}
              value=${days.includes(day)}
              set=${toggle(day)}
            />
          `,
        )}
      </div>
      <div class="pair">
        <${Field}
          id=${`${id}-starts`}
          label="From"
          kind="time"
          value=${starts}
          set=${(value) => set({ starts: value })}
          required=${true}
        />
        <${Field}
          id=${`${id}-ends`}
          label="Up to"
          kind="time"
          value=${ends}
          set=${(value) => set({ ends: value })}
          required=${true}
          help=${starts && ends && ends <= starts ? "On the next day." : ""}
        />
      </div>
      ${children}
    </fieldset>
  `;
}
