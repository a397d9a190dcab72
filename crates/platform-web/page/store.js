// What the browser keeps: settings, drafts, and messages that are not acknowledged yet.
// A browser that keeps nothing still talks; it only forgets on reload.

const prefix = "tertulia.";

export function read(name) {
  try {
    return JSON.parse(localStorage.getItem(prefix + name));
  } catch {
    return null;
  }
}

/** Keeps a value; nothing, or an empty text, is forgotten. */
export function write(name, value) {
  try {
    if (value === null || value === "" || value === undefined) localStorage.removeItem(prefix + name);
    else localStorage.setItem(prefix + name, JSON.stringify(value));
  } catch { /* full or forbidden */ }
}

/** A random UUID, also where the page is not served over a secure connection. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
