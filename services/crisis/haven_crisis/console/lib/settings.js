/** What the service tells the console about itself, and what this device is told to do. Nothing of anybody's health. */
import { signal } from "./html.js";

/** Where to sign in: `issuer`, `clientId`, `scopes`; and `title`, what this installation is called. */
export const config = {};

export async function loadConfig() {
  const answer = await fetch("config.json", { cache: "no-store" });
  if (!answer.ok) throw new Error("The console's settings cannot be read.");
  Object.assign(config, await answer.json());
}

const KEY = "haven.device";
const DEFAULTS = { theme: "device", sound: false, notifications: false, keys: true };

/** How this device behaves: theme ("device", "dark", "light"), sound, notifications, keys. */
export const device = signal({ ...DEFAULTS, ...read() });

export function setDevice(change) {
  device.value = { ...device.value, ...change };
  localStorage.setItem(KEY, JSON.stringify(device.value));
  showTheme();
}

export function showTheme() {
  document.documentElement.dataset.theme = device.value.theme;
}

/** Forget how this device behaves. */
export function forgetDevice() {
  localStorage.removeItem(KEY);
  device.value = { ...DEFAULTS };
  showTheme();
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
