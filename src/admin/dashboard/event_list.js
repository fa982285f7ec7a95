/** The list of events, newest first. */

import { byId, create, show } from "./dom.js";
import { countOf, formatTime } from "./format.js";
import { DEFAULT_POOL } from "./pools.js";

/** The most entries of the list. */
const MOST_SHOWN = 200;

/** Older events are shown, but not announced to screen readers. */
const NEWS_SECONDS = 10;

/**
 * @typedef {object} Entry
 * @property {"up" | "down" | "change" | "note"} kind
 * @property {string} subject a backend's URL, or empty
 * @property {string} text
 * @property {string} detail the reason
 */

/**
 * @typedef {{ backend: string, pool: string, reason: string, at: string, state: "active" | "draining" | "disabled" }}
 * BackendEvent
 */

/**
 * @typedef {{ added: string[], removed: string[], changed: string[], restartNeeded: string[], at?: string }}
 * ReloadEvent
 */

/** The list, and the announcements of changes of health for screen readers. */
export class EventList {
  #list = byId("events");
  #empty = byId("events-empty");
  #announcer = byId("announcer");
  /** @type {Map<string, string>} The operator's state of each backend, as of its last event. By pool and URL. */
  #states = new Map();

  /**
   * Shows an event about a backend.
   *
   * @param {string} type
   * @param {BackendEvent} event
   * @param {number} now in milliseconds since 1970, on the server's clock
   */
  addBackendEvent(type, { backend, pool, reason, at, state }, now) {
    const key = `${pool} ${backend}`;
    const { kind, text } = wordsFor(type, this.#states.get(key) ?? "active", state);
    this.#states.set(key, state);
    this.#add(
      { kind, subject: backend, text, detail: pool === DEFAULT_POOL ? reason : `pool ${pool}: ${reason}` },
      new Date(at),
    );
    const isNews = (now - Date.parse(at)) / 1000 < NEWS_SECONDS;
    if (isNews && kind !== "change") this.#announcer.textContent = `${backend} ${text}: ${reason}`;
  }

  /**
   * @param {ReloadEvent} report
   * @param {number} now
   */
  addReload({ added, removed, changed, restartNeeded, at }, now) {
    const parts = [
      added.length > 0 ? `${countOf(added.length, "backend")} added` : "",
      removed.length > 0 ? `${countOf(removed.length, "backend")} removed` : "",
      changed.length > 0 ? `${countOf(changed.length, "backend")} changed` : "",
      restartNeeded.length > 0 ? `needs a restart: ${restartNeeded.join(", ")}` : "",
    ].filter((part) => part !== "");
    const detail = parts.length === 0 ? "no backend has changed" : parts.join("; ");
    this.#add({ kind: "note", subject: "", text: "Configuration reloaded", detail }, new Date(at ?? now));
  }

  /**
   * Shows something that only this page knows.
   *
   * @param {string} text
   * @param {string} detail
   */
  addNote(text, detail) {
    this.#add({ kind: "note", subject: "", text, detail }, new Date());
  }

  /**
   * @param {Entry} entry
   * @param {Date} date
   */
  #add({ kind, subject, text, detail }, date) {
    const time = create("time", "", formatTime(date));
    time.setAttribute("datetime", date.toISOString());
    time.title = date.toLocaleString();
    const what = create("p", "");
    if (subject !== "") what.append(create("span", "url", subject), " ");
    what.append(create("span", "what", text), create("span", "sub", detail));
    const item = create("li", "", time, what);
    item.dataset.kind = kind;
    this.#list.prepend(item);
    while (this.#list.children.length > MOST_SHOWN) this.#list.lastElementChild?.remove();
    show(this.#empty, false);
  }
}

/**
 * @param {string} type
 * @param {string} before the operator's state until now
 * @param {BackendEvent["state"]} state
 * @returns {{ readonly kind: Entry["kind"], readonly text: string }}
 */
function wordsFor(type, before, state) {
  switch (type) {
    case "backend-up":
      return { kind: "up", text: "is up" };
    case "backend-down":
      return { kind: "down", text: "is down" };
    case "backend-added":
      return { kind: "change", text: "added" };
    case "backend-removed":
      return { kind: "change", text: "removed" };
  }
  if (before === state) return { kind: "change", text: "changed" };
  return { kind: "change", text: state === "active" ? "enabled" : state };
}
