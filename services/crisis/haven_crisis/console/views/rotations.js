/** Rotations: who takes turns. Administrators change them; responders read them. */
import { html } from "../lib/html.js";
import { unsaved } from "../lib/editor.js";
import { Loaded, Title } from "../lib/parts.js";
import { nameOf } from "../lib/people.js";
import { readRotations, readTeams } from "../lib/plan.js";
import { layerWords } from "../lib/rotation_form.js";
import { RotationEditor } from "./rotation_editor.js";

export function Rotations({ id, administrator }) {
  return id && administrator
    ? html`
        <${RotationEditor} id=${id} />
      `
    : html`
        <${List} administrator=${administrator} />
      `;
}

function List({ administrator }) {
  const load = async () => {
    const [rotations, teams] = await Promise.all([readRotations(), readTeams()]);
    return { rotations, teams };
  };
  return html`
    <${Title}>Rotations<//>
    <p>Who takes turns being on call. Who has which shift is in the calendar, under On call.</p>
    ${
      administrator &&
      html`
        <p class="actions"><a class="button" href="#/rotations/new">New rotation</a></p>
      `
    }
    <${Loaded} load=${load}>
      ${({ rotations, teams }) =>
        rotations.length === 0
          ? html`
              <p class="empty">There is none. Policies page whom they name.</p>
            `
          : html`
              <ul class="cards">
                ${rotations.map(
                  (each) => html`
                    <li key=${each.rotationId}>
                      <${Rotation} rotation=${each} teams=${teams} administrator=${administrator} />
                    </li>
                  `,
                )}
              </ul>
            `}
    <//>
  `;
}

function Rotation({ rotation, teams, administrator }) {
  const { rotationId, name, teamId } = rotation;
  const layers = layerWords(rotation);
  return html`
    <article class="card" aria-label=${name}>
      <p class="tags">
        <strong>${name}</strong>
        ${
          teamId &&
          html`
            <span class="quiet">${teams.find((each) => each.teamId === teamId)?.name}</span>
          `
        }
      </p>
      <ul class="plain">
        ${layers.map(
          (each) => html`
            <li>
              <p>${each.name && `${each.name}: `}${each.responderIds.map(nameOf).join(", ")}</p>
              <p class="quiet">${each.how}</p>
            </li>
          `,
        )}
      </ul>
      ${
        administrator &&
        html`
          ${
            unsaved(`rotation/${rotationId}`) &&
            html`
              <p>You have changes here that are not saved.</p>
            `
          }
          <p class="actions">
            <a class="button" href=${`#/rotations/${rotationId}`} aria-label=${`Change ${name}`}>Change</a>
          </p>
        `
      }
    </article>
  `;
}
