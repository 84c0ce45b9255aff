/** An escalation policy as a form holds it, and as the contract does. */
import { keyed } from "./editor.js";
import { nameOf } from "./people.js";
import { duration } from "./words.js";

const EVERYONE = "everyone";
const KINDS = { rotation: "rotationId", responder: "responderId", team: "teamId" };

/** "rotation:…", "responder:…", "team:…" or "everyone". */
function whoOf(target) {
  const kind = Object.keys(KINDS).find((each) => target[KINDS[each]]);
  return kind ? `${kind}:${target[KINDS[kind]]}` : EVERYONE;
}

function targetOf({ who }) {
  if (who === EVERYONE) return { everyoneOnDuty: true };
  const at = who.indexOf(":");
  return { [KINDS[who.slice(0, at)]]: who.slice(at + 1) };
}

const stepForm = ({ targets, wait, roundRobin }) => ({
  targets: keyed(targets.map((each) => ({ who: whoOf(each) }))),
  wait: `${duration(wait) / 1000}`,
  roundRobin,
});

const stepOf = ({ targets, wait, roundRobin }) => ({ targets: targets.map(targetOf), wait: `${wait}s`, roundRobin });

export const newTarget = () => ({ who: "" });
export const newStep = () => ({ targets: keyed([newTarget()]), wait: "120", roundRobin: false });

export function newPolicy() {
  return {
    policyId: crypto.randomUUID(),
    name: "",
    steps: keyed([newStep()]),
    repeats: "1",
    lastResort: { ...newStep(), targets: keyed([{ who: EVERYONE }, newTarget()]), wait: "300" },
    isDefault: false,
    etag: "",
  };
}

export const policyForm = (policy) => ({
  ...policy,
  repeats: `${policy.repeats}`,
  steps: keyed(policy.steps.map(stepForm)),
  lastResort: stepForm(policy.lastResort),
});

export const policyOf = ({ steps, lastResort, repeats, ...form }) => ({
  ...form,
  repeats: Number(repeats),
  steps: steps.map(stepOf),
  lastResort: stepOf(lastResort),
});

/** Whether enough is given to ask what the policy would do. */
export const complete = ({ steps, lastResort, repeats }) =>
  repeats !== "" && [...steps, lastResort].every((each) => each.wait && each.targets.every(({ who }) => who));

/** Who can be a target, for a list to choose from. */
export const targetChoices = ({ rotations, teams, responders }) => ({
  [EVERYONE]: "Everyone on duty",
  "On call in a rotation": Object.fromEntries(rotations.map((each) => [`rotation:${each.rotationId}`, each.name])),
  "On call in a team": Object.fromEntries(teams.map((each) => [`team:${each.teamId}`, `Team ${each.name}`])),
  Responders: Object.fromEntries(Object.entries(responders).map(([id, name]) => [`responder:${id}`, name])),
});

/** A target in words. */
export function targetName(target, { rotations, teams }) {
  if (target.responderId) return nameOf(target.responderId);
  if (target.rotationId)
    return `on call in ${rotations.find((each) => each.rotationId === target.rotationId)?.name ?? "a rotation that is gone"}`;
  if (target.teamId)
    return `on call in team ${teams.find((each) => each.teamId === target.teamId)?.name ?? "that is gone"}`;
  return "everyone on duty";
}

/** The sentences that keep a policy from being saved, each at its field: they begin with its name and the step. */
export function placed(name, problems) {
  const begin = name ? `${name}: ` : "";
  return problems.map((message) => {
    const step = message.startsWith(begin) && /^Step (\d+) /.exec(message.slice(begin.length));
    const last = message.startsWith(`${begin}The last resort `);
    const field = step ? `policy.steps[${step[1] - 1}].targets` : last ? "policy.lastResort.targets" : "";
    return { field, rule: "refused", message };
  });
}

/** Where a field of a policy is, in words. */
export function policyPlace(field) {
  const step = /^policy\.steps\[(\d+)\]/.exec(field);
  if (step) return `Step ${Number(step[1]) + 1}`;
  if (field.startsWith("policy.lastResort")) return "The last resort";
  return { "policy.name": "Name", "policy.repeats": "How often again", "policy.steps": "Steps" }[field] ?? "";
}
