/** A rotation as a form holds it, and as the contract does. */
import { keyed } from "./editor.js";
import { ZONE } from "./words.js";

/** Days of the week by the contract's word. */
export const WEEKDAYS = {
  WEEKDAY_MONDAY: "Monday",
  WEEKDAY_TUESDAY: "Tuesday",
  WEEKDAY_WEDNESDAY: "Wednesday",
  WEEKDAY_THURSDAY: "Thursday",
  WEEKDAY_FRIDAY: "Friday",
  WEEKDAY_SATURDAY: "Saturday",
  WEEKDAY_SUNDAY: "Sunday",
};
export const UNITS = { days: "days", hours: "hours" };

/** The Monday before today: a first turn that begins later would leave a gap until then. */
function lastMonday() {
  const day = new Date();
  day.setDate(day.getDate() - ((day.getDay() + 6) % 7 || 7));
  return `${day.getFullYear()}-${`${day.getMonth() + 1}`.padStart(2, "0")}-${`${day.getDate()}`.padStart(2, "0")}`;
}

export const newResponder = () => ({ id: "" });
export const newWindow = () => ({ days: [], starts: "08:00", ends: "17:00" });
export const newLayer = () => ({
  name: "",
  responders: keyed([newResponder()]),
  turn: "7",
  unit: "days",
  timeZone: ZONE,
  handOver: "08:00",
  firstDay: lastMonday(),
  windows: [],
});

export const newRotation = () => ({
  rotationId: crypto.randomUUID(),
  name: "",
  teamId: "",
  layers: keyed([newLayer()]),
  overrides: [],
  shadows: [],
  etag: "",
});

const layerForm = ({ name, responderIds, turnDays, turnHours, timeZone, handOver, firstDay, windows }) => ({
  name,
  responders: keyed(responderIds.map((id) => ({ id }))),
  turn: `${turnHours || turnDays}`,
  unit: turnHours ? "hours" : "days",
  timeZone,
  handOver,
  firstDay,
  windows: keyed(windows),
});

/** The short form of the contract is one layer here. */
const layersOf = ({ layers, responderIds, shiftDays, timeZone, handOver, firstDay }) =>
  layers.length ? layers : [{ name: "", responderIds, turnDays: shiftDays, timeZone, handOver, firstDay, windows: [] }];

export const rotationForm = (rotation) => {
  const { rotationId, name, teamId, overrides, shadows, etag } = rotation;
  return { rotationId, name, teamId, layers: keyed(layersOf(rotation).map(layerForm)), overrides, shadows, etag };
};

const layerOf = ({ name, responders, turn, unit, timeZone, handOver, firstDay, windows }) => ({
  name,
  responderIds: responders.map((each) => each.id),
  [unit === "hours" ? "turnHours" : "turnDays"]: Number(turn),
  timeZone,
  handOver,
  firstDay,
  windows: windows.map(({ days, starts, ends }) => ({ days, starts, ends })),
});

export const rotationOf = ({ layers, ...form }) => ({ ...form, layers: layers.map(layerOf) });

/** Whether enough is given to ask what the rotation would leave open. */
export const complete = ({ layers }) =>
  layers.every(
    (each) =>
      Number(each.turn) > 0 &&
      each.timeZone &&
      each.handOver &&
      each.firstDay &&
      each.responders.every(({ id }) => id) &&
      each.windows.every(({ starts, ends }) => starts && ends),
  );

/** A layer in words, but for who is in it. */
export function layerWords(rotation) {
  return layersOf(rotation).map(({ name, responderIds, turnDays, turnHours, timeZone, handOver, windows }) => {
    const turn = turnHours ? `${turnHours} h` : turnDays === 1 ? "a day" : `${turnDays} days`;
    const when = windows.map(
      ({ days, starts, ends }) =>
        `${days.length ? days.map((each) => WEEKDAYS[each].slice(0, 3)).join(" ") : "every day"} ${starts} to ${ends}`,
    );
    return {
      name,
      responderIds,
      how: `each ${turn}, hand-over at ${handOver} in ${timeZone}${when.length ? `; only ${when.join(", ")}` : ""}`,
    };
  });
}

const PARTS = {
  turn: "length of a turn",
  timeZone: "time zone",
  handOver: "hand-over",
  firstDay: "first day",
  responderIds: "who takes turns",
  windows: "times of the week",
};

/** A field of the contract as the form names it: "rotation.layers[0].turnDays" is "rotation.layers[0].turn". */
export const formField = (field) => field.replace(/\.turn(Days|Hours)$/, ".turn");

/** Where a field of a rotation is, in words. */
export function rotationPlace(field) {
  const [, layer, part] = /^rotation\.layers\[(\d+)\](?:\.(\w+))?/.exec(field) ?? [];
  if (layer) return `Layer ${Number(layer) + 1}${PARTS[part] ? `, ${PARTS[part]}` : ""}`;
  return { "rotation.name": "Name", "rotation.teamId": "Team", "rotation.layers": "Layers" }[field] ?? "";
}
