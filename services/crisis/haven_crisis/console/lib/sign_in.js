/**
 * Sign-in by OpenID Connect: Authorization Code with PKCE, a public client (RFC 9700).
 *
 * Tokens are kept in this tab's session storage alone, so that a reload works while the provider is away; they go with
 * the tab, and with signing out. Signing in again, once a token has run out, happens in a window of its own, so that
 * nothing that was typed is lost.
 */
import * as oauth from "../vendor/oauth4webapi.js";
import { signal } from "./html.js";
import { config, forgetDevice } from "./settings.js";

const TOKENS = "haven.tokens";
const PENDING = "haven.signing-in";
const RENEW_BEFORE_S = 60;
const SOONEST_S = 5;
/** How long the provider may take to answer; shorter for somebody who leaves. */
const ANSWERS_MS = 10_000;
const LEAVING_MS = 3000;
const AGAIN = "again.";
const tabs = new BroadcastChannel("haven-console");

/** `state`: "out", "in", "expired" (what is shown stays); `id`: the subject; `roles`: names as tokens carry them. */
export const session = signal({ state: "out", id: "", roles: [] });
/** A sentence about a sign-in that went wrong. */
export const trouble = signal("");

let tokens = null;
let timer = 0;
let renewing = null;
let provider = null;
let leaving = false;

/** Take up the session of this tab, or the provider's answer. Returns false in a window that only signed in again. */
export async function resume() {
  tabs.onmessage = ({ data }) => hear(data);
  const answer = new URL(location.href);
  const state = answer.searchParams.get("state");
  if (state) {
    history.replaceState(null, "", location.pathname);
    if (state.startsWith(AGAIN)) {
      tabs.postMessage({ kind: "answered", answer: answer.href });
      window.close();
      return false;
    }
    await complete(answer, pending());
    location.hash = pending()?.hash ?? "";
    sessionStorage.removeItem(PENDING);
    return true;
  }
  const kept = JSON.parse(sessionStorage.getItem(TOKENS));
  if (kept) take(kept);
  return true;
}

/** Leave for the provider; what was asked for is shown afterwards. */
export async function signIn() {
  try {
    location.assign(await request(""));
  } catch {
    trouble.value = "The sign-in service does not answer. Try again; alerts still reach you by your other channels.";
  }
}

/** Sign in again in a window of its own. To be called when something is tapped, else browsers refuse the window. */
export async function signInAgain() {
  const popup = window.open("about:blank", "haven-sign-in", "popup,width=480,height=640");
  try {
    const address = await request(AGAIN);
    if (popup) popup.location.replace(address);
    else trouble.value = "The browser kept a window from opening. Allow windows of this page and try again.";
  } catch {
    popup?.close();
    trouble.value = "The sign-in service does not answer. What you typed is still here; try again.";
  }
}

/** A token that is good now. Renews one that is about to run out. */
export async function token() {
  if (tokens && tokens.expiresAt - Date.now() < SOONEST_S * 1000) await renew();
  return session.value.state === "in" ? tokens.access : null;
}

/** The service did not take the token: renew it, or ask to sign in. Returns whether there is a new one. */
export async function refused() {
  return (await renew()) || false;
}

/**
 * Sign out in every tab: tokens, drafts, notifications, all that is kept and everything shown are gone, at once and
 * whatever does not answer. The provider is told to end its part where it says how.
 */
export async function signOut() {
  const held = tokens;
  leaving = true;
  tokens = null;
  clearTimeout(timer);
  sessionStorage.clear();
  session.value = { state: "out", id: "", roles: [] };
  tabs.postMessage({ kind: "signed-out" });
  forgetDevice();
  const [, , ended] = await Promise.allSettled([closeNotifications(), revoke(held), endSession()]);
  leave(ended.value);
}

async function closeNotifications() {
  const shown = await navigator.serviceWorker?.getRegistration();
  for (const each of (await shown?.getNotifications()) ?? []) each.close();
}

/** What renews sign-ins is good for nobody from here on (RFC 7009). */
async function revoke(held) {
  const server = await discovered(LEAVING_MS);
  if (!held?.refresh || !server.revocation_endpoint) return;
  await oauth.revocationRequest(server, client(), oauth.None(), held.refresh, options(LEAVING_MS));
}

/** Where the provider ends its own session (OpenID Connect RP-Initiated Logout), if it says so. */
async function endSession() {
  const { end_session_endpoint: endpoint } = await discovered(LEAVING_MS);
  if (!endpoint) return "";
  const address = new URL(endpoint);
  address.searchParams.set("client_id", config.clientId);
  address.searchParams.set("post_logout_redirect_uri", here());
  return address.href;
}

function hear(message) {
  if (message.kind === "signed-out") leave();
  const waiting = pending();
  if (message.kind === "answered" && waiting?.state.startsWith(AGAIN)) {
    const answer = new URL(message.answer);
    if (answer.searchParams.get("state") !== waiting.state) return;
    sessionStorage.removeItem(PENDING);
    complete(answer, waiting);
  }
}

function leave(address = location.pathname) {
  clearTimeout(timer);
  sessionStorage.clear();
  // Nothing stays in memory either.
  location.replace(address || location.pathname);
}

function pending() {
  return JSON.parse(sessionStorage.getItem(PENDING));
}

async function request(prefix) {
  trouble.value = "";
  const server = await discovered();
  const verifier = oauth.generateRandomCodeVerifier();
  const state = prefix + oauth.generateRandomState();
  const nonce = oauth.generateRandomNonce();
  sessionStorage.setItem(PENDING, JSON.stringify({ verifier, state, nonce, hash: location.hash }));
  const address = new URL(server.authorization_endpoint);
  for (const [name, value] of Object.entries({
    client_id: config.clientId,
    redirect_uri: here(),
    response_type: "code",
    scope: config.scopes,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  }))
    address.searchParams.set(name, value);
  return address.href;
}

async function complete(answer, waiting) {
  if (!waiting) {
    trouble.value = "That sign-in was begun in another window. Sign in here.";
    return;
  }
  try {
    const server = await discovered();
    const parameters = oauth.validateAuthResponse(server, client(), answer, waiting.state);
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      client(),
      oauth.None(),
      parameters,
      here(),
      waiting.verifier,
      options(),
    );
    take(
      kept(await oauth.processAuthorizationCodeResponse(server, client(), response, { expectedNonce: waiting.nonce })),
    );
  } catch {
    trouble.value = "The sign-in did not come through. Sign in once more.";
  }
}

function renew() {
  renewing ??= renewed().finally(() => (renewing = null));
  return renewing;
}

async function renewed() {
  if (tokens?.refresh)
    try {
      const server = await discovered();
      const response = await oauth.refreshTokenGrantRequest(server, client(), oauth.None(), tokens.refresh, options());
      take({ refresh: tokens.refresh, ...kept(await oauth.processRefreshTokenResponse(server, client(), response)) });
      return true;
    } catch (error) {
      // The provider is away: the token may last a little longer. Only its own refusal ends the session.
      if (!(error instanceof oauth.ResponseBodyError) && tokens?.expiresAt > Date.now()) {
        later(SOONEST_S);
        return false;
      }
    }
  if (session.value.state === "in") session.value = { ...session.value, state: "expired" };
  return false;
}

function kept(answer) {
  const found = { access: answer.access_token, expiresAt: Date.now() + (answer.expires_in ?? 300) * 1000 };
  return answer.refresh_token ? { ...found, refresh: answer.refresh_token } : found;
}

function take(found) {
  if (leaving) return;
  tokens = found;
  sessionStorage.setItem(TOKENS, JSON.stringify(found));
  const claims = read(found.access);
  if (session.value.id && session.value.id !== claims.sub) return leave();
  trouble.value = "";
  session.value = { state: "in", id: claims.sub ?? "", roles: claims.roles ?? [] };
  later(Math.max(SOONEST_S, (found.expiresAt - Date.now()) / 1000 - RENEW_BEFORE_S));
}

function later(seconds) {
  clearTimeout(timer);
  timer = setTimeout(renew, Math.min(seconds * 1000, 2 ** 31 - 1));
}

/** What the token says. The service decides what it is worth; here it only chooses what to show. */
function read(access) {
  try {
    const bytes = Uint8Array.from(atob(access.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (c) =>
      c.charCodeAt(0),
    );
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

async function discovered(within = ANSWERS_MS) {
  if (!provider) {
    const issuer = new URL(config.issuer);
    const answer = await oauth.discoveryRequest(issuer, { algorithm: "oidc", ...options(within) });
    provider = await oauth.processDiscoveryResponse(issuer, answer);
  }
  return provider;
}

function client() {
  return { client_id: config.clientId };
}

function here() {
  return new URL(location.pathname, location.origin).href;
}

function options(within = ANSWERS_MS) {
  // A provider on this machine, in development, has no certificate.
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(new URL(config.issuer).hostname);
  return { [oauth.allowInsecureRequests]: local, signal: AbortSignal.timeout(within) };
}
