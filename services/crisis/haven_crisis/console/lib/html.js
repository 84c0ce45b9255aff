/** Views: Preact with templates that need no build step, and signals that views follow. */
import { h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { render };
export { useEffect, useRef, useState } from "../vendor/preact-hooks.js";
export { batch, computed, effect, signal, useSignal } from "../vendor/signals.js";
export const html = htm.bind(h);
