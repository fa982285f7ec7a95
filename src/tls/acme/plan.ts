/** Tells what is planned for each name, for `roundhouse check`. */

import type { Config } from "../../config/schema.ts";
import type { Log } from "../../log.ts";
import { type Held, held, UnusableError } from "./held.ts";
import { renewalAt } from "./schedule.ts";
import { StateFolder } from "./state_folder.ts";

/** How many names are listed. */
const MOST_NAMES = 20;

/** What is wrong with the folder matters when certificates are kept there. */
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {}, isEnabledFor: () => false };

export interface PlanOptions {
  readonly config: Config;
  /** The folder for state. `undefined`: there is none. */
  readonly state: string | undefined;
  readonly now: Date;
}

/** A line for each name: until when there is a certificate, and when it is renewed. Orders nothing. */
export function acmePlan({ config: { proxy: { tls } }, state, now }: PlanOptions): string[] {
  if (tls === null || tls.acme === null) return [];
  const { names, directory } = tls.acme;
  const folder = new StateFolder({ state, directory, log: SILENT });
  const { host } = new URL(directory);
  const nowMs = now.getTime();
  const lines = names.slice(0, MOST_NAMES).map((name) => {
    const kept = keptIn(folder, name, nowMs);
    if (kept === undefined) return `${name}: to be ordered from ${host}`;
    const { validity, share } = kept;
    const renewalMs = renewalAt(validity, share);
    const renewal = renewalMs <= nowMs ? "to be renewed now" : `to be renewed at ${new Date(renewalMs).toISOString()}`;
    return `${name}: until ${new Date(validity.untilMs).toISOString()}, ${renewal} by ${host}`;
  });
  const more = names.length - MOST_NAMES;
  return [...lines, ...more > 0 ? [`and ${more} more`] : []].map((line) => `proxy.tls.acme: ${line}`);
}

function keptIn(folder: StateFolder, name: string, nowMs: number): Held | undefined {
  const certificate = folder.certificate(name);
  if (certificate === undefined) return undefined;
  try {
    return held(certificate, name, nowMs);
  } catch (error) {
    if (!(error instanceof UnusableError)) throw error;
    return undefined;
  }
}
