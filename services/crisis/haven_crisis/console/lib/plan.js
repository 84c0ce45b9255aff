/** The on-call plan as it is written: its parts, overrides, and what a change would leave open before it is saved. */
import { all, get, post, put } from "./api.js";
import { tell, tellWhy } from "./parts.js";
import { learn } from "./people.js";
import { go } from "./router.js";

const KEPT_MS = 90 * 86_400_000;

export const rotationPath = (rotationId) => `/v1/on-call/rotations/${rotationId}`;
export const readRotations = () => all("/v1/on-call/rotations", "rotations");
export const readPolicies = () => all("/v1/on-call/policies", "policies");
export const readTeams = () => all("/v1/on-call/teams", "teams");

/** Names of all who can be put on call, by id. For administrators. */
export async function readResponders() {
  const found = await all("/v1/on-call/responders", "responders");
  const byId = Object.fromEntries(found.map((each) => [each.responderId, each.name]));
  learn(byId);
  return byId;
}

/** What a draft of a rotation would leave open in the next 90 days. Nothing is saved. */
export const checkCoverage = (rotation) => post("/v1/on-call/rotations:checkCoverage", { rotation });

/** Save a rotation as it is now with a change to it. Raises Problem. */
export async function changeRotation(rotationId, change) {
  const rotation = await get(rotationPath(rotationId));
  return put(rotationPath(rotationId), { rotation: change(rotation) });
}

/** The rotation with an override, which is taken out of those that it falls into. Those long over are left out. */
export function withOverride(rotation, override) {
  const starts = Date.parse(override.startsAt);
  const ends = Date.parse(override.endsAt);
  const parts = rotation.overrides.flatMap((each) => [
    { ...each, endsAt: Date.parse(each.endsAt) < starts ? each.endsAt : override.startsAt },
    { ...each, startsAt: Date.parse(each.startsAt) > ends ? each.startsAt : override.endsAt },
  ]);
  const kept = parts.filter(
    (each) => Date.parse(each.startsAt) < Date.parse(each.endsAt) && Date.parse(each.endsAt) > Date.now() - KEPT_MS,
  );
  return {
    ...rotation,
    overrides: [...kept, override].sort((a, b) => Date.parse(a.startsAt) - Date.parse(b.startsAt)),
  };
}

/** The rotation without an override. */
export function withoutOverride(rotation, override) {
  const same = (each) => ["responderId", "startsAt", "endsAt"].every((part) => each[part] === override[part]);
  return { ...rotation, overrides: rotation.overrides.filter((each) => !same(each)) };
}

/** Put back what a change of the plan took out, and show it. */
export async function putBack(changeId, view) {
  try {
    const { name } = await post(`/v1/on-call/changes/${changeId}:restore`);
    go(view, () => tell(`${name} is back.`));
  } catch (problem) {
    tellWhy(problem);
  }
}
