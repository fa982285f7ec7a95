/** Gets a certificate for each name, and renews it. Goes on for as long as the process runs, whatever the authority does. */

import { messageOf } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Clock } from "../../net/clock.ts";
import type { ServerCertificate } from "../server_certificate.ts";
import type { Authority } from "./authority.ts";
import { AcmeError } from "./errors.ts";
import { type Held, held, UnusableError } from "./held.ts";
import { NO_TRIES, plausible, renewalAloneAt, renewalAt, retryAt, retrySoonAt, type Tries } from "./schedule.ts";
import { SharedAwayError, type SharedCertificates } from "./shared.ts";
import type { StateFolder } from "./state_folder.ts";

export interface RenewalsOptions {
  /** In lower case, each once. */
  readonly names: readonly string[];
  readonly folder: StateFolder;
  readonly authority: Pick<Authority, "order">;
  /** `undefined`: this roundhouse is in no cluster. */
  readonly shared: SharedCertificates | undefined;
  readonly log: Log;
  readonly clock: Clock;
  /** Called when a name has another certificate or error. */
  readonly changed: () => void;
}

/** A name, and what there is for it. */
export interface NamedCertificate {
  readonly name: string;
  /** `undefined`: there is none yet. */
  readonly certificate: ServerCertificate | undefined;
  /** Why there is no newer one; `null`: none was needed. */
  readonly error: string | null;
}

interface NameState {
  readonly name: string;
  held: Held | undefined;
  tries: Tries;
  /** Pauses after failures before this start do not count. */
  hurries: boolean;
}

/** While the authority says that there are too many orders, it gets so few of other names. */
const LIMITED_MS = 60_000;
/** A timer for the whole life of a certificate would miss a sleep of the machine. */
const LOOK_MS = 3_600_000;
/** How often the other replicas are asked for certificates. */
const SHARED_LOOK_MS = 5000;
/** How long to wait while another process or replica orders. */
const LOCKED_MS = 5000;
/** What a try counts as until it has ended. */
const CUT_OFF = "the process ended during the order";

export class Renewals {
  readonly #options: RenewalsOptions;
  readonly #states = new Map<string, NameState>();
  /** What became of orders that no name was the reason of. */
  #all: Tries;
  #allHurries = true;
  /** The version of the others' certificates that was seen last; `null`: none yet, or they can't be asked. */
  #seen: string | undefined | null = null;
  readonly #stopping = new AbortController();
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;

  constructor(options: RenewalsOptions) {
    this.#options = options;
    this.#all = plausible(options.folder.tries(null), options.clock.now());
    for (const name of options.names) this.#states.set(name, this.#kept(name));
  }

  /** In the order of the configuration. */
  get certificates(): readonly NamedCertificate[] {
    return Array.from(this.#states.values(), ({ name, held, tries }) => {
      return { name, certificate: held?.certificate, error: tries.error ?? this.#all.error };
    });
  }

  /** Begins to order. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Gives up an order that is under way. Settles when nothing is left of it. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("roundhouse stops"));
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log, shared } = this.#options;
    while (!this.#stopping.signal.aborted) {
      let restMs = shared === undefined ? LOOK_MS : SHARED_LOOK_MS;
      try {
        await this.#followOthers();
        const next = this.#next();
        const leftMs = next === undefined ? Infinity : this.#dueAt(next) - clock.now();
        if (next !== undefined && leftMs <= 0) restMs = await this.#renewed(next) ? 0 : LOCKED_MS;
        else restMs = Math.min(restMs, leftMs);
      } catch (error) {
        log.error("certificates", { error: messageOf(error) }); // a fault of ours must not end all renewals
        restMs = LOCKED_MS;
      }
      if (restMs > 0) await this.#rest(restMs);
    }
  }

  #next(): NameState | undefined {
    let next: NameState | undefined;
    for (const state of this.#states.values()) {
      if (next === undefined || this.#dueAt(state) < this.#dueAt(next)) next = state;
    }
    return next;
  }

  /** When the next order for a name is due. */
  #dueAt({ held, tries, hurries }: NameState): number {
    const { share = 0, validity } = held ?? {};
    const isAlone = this.#options.shared !== undefined && this.#seen === null;
    const usualMs = validity === undefined ? -Infinity : (isAlone ? renewalAloneAt : renewalAt)(validity, share);
    const again = (tries: Tries, hurries: boolean) =>
      hurries ? retrySoonAt(tries) : retryAt(tries, validity?.untilMs, share);
    return Math.max(usualMs, again(tries, hurries), again(this.#all, this.#allHurries));
  }

  /** Returns whether anything was done; if not, another process or replica is at it. */
  async #renewed(state: NameState): Promise<boolean> {
    const { folder, shared, clock } = this.#options;
    using lock = await folder.lock();
    if (lock === undefined) return false;
    const kept = folder.certificate(state.name);
    if (kept !== undefined && this.#adopt(state, kept) && this.#dueAt(state) > clock.now()) return true;
    if (shared === undefined || this.#seen === null) {
      await this.#order(state);
      return true;
    }
    try {
      await using sharedLock = await shared.lock();
      if (sharedLock === undefined) return false;
      if (!await this.#followShared(state)) await this.#order(state);
    } catch (error) {
      if (!(error instanceof SharedAwayError)) throw error;
      this.#seen = null;
    }
    return true;
  }

  async #order(state: NameState): Promise<void> {
    const { authority, folder, shared, log, clock } = this.#options;
    const { name } = state;
    const before = { tries: state.tries, hurries: state.hurries };
    const begun = { ...before.tries, failures: before.tries.failures + 1, lastMs: clock.now(), notBeforeMs: -Infinity };
    // First, so that whatever goes wrong, there is a pause.
    Object.assign(state, { tries: begun, hurries: false });
    await folder.beginTry(name, before.tries, { ...begun, error: CUT_OFF });
    let found: Held;
    try {
      found = await authority.order(name, this.#stopping.signal);
    } catch (error) {
      if (this.#stopping.signal.aborted) return await folder.keepTries(name, before.tries);
      return await this.#failed(state, before, error);
    }
    this.#all = NO_TRIES;
    this.#use(state, found);
    state.tries = { ...NO_TRIES, lastMs: clock.now() };
    await folder.keepCertificate(name, found.certificate);
    await Promise.all([folder.keepTries(name, NO_TRIES), folder.keepTries(null, NO_TRIES)]);
    await ifThere(shared?.keepCertificate(name, found.certificate));
    log.info("certificate obtained", { name, expires: endOf(found) });
  }

  /** @param before what was known of the name before this order */
  async #failed(state: NameState, before: Pick<NameState, "tries" | "hurries">, error: unknown): Promise<void> {
    const { folder, log, clock } = this.#options;
    const { name } = state;
    const { problem, retryAfterMs, concernsAll } = error instanceof AcmeError ? error : new AcmeError(messageOf(error));
    const notBeforeMs = retryAfterMs === undefined ? -Infinity : clock.now() + retryAfterMs;
    const tries = { ...state.tries, notBeforeMs, error: messageOf(error) };
    if (concernsAll) {
      Object.assign(state, before);
      this.#all = { ...tries, failures: this.#all.failures + 1 };
      this.#allHurries = false;
    } else {
      state.tries = tries;
      // Nobody knows whether that holds for this name or for all.
      if (problem === "rateLimited") this.#all = { ...this.#all, notBeforeMs: clock.now() + LIMITED_MS };
    }
    this.#options.changed();
    await folder.keepTries(name, state.tries);
    if (concernsAll) await folder.keepTries(null, this.#all);
    const again = new Date(this.#dueAt(state)).toISOString();
    log.warn("certificate not obtained", { name, error: messageOf(error), again, expires: endOf(state.held) });
  }

  /** Uses a certificate if it is newer than what there is. Returns whether it is what there is now. */
  #adopt(state: NameState, certificate: ServerCertificate): boolean {
    if (state.held?.certificate.cert === certificate.cert) return true;
    try {
      const found = held(certificate, state.name, this.#options.clock.now());
      if (state.held !== undefined && found.validity.fromMs < state.held.validity.fromMs) return false;
      this.#use(state, found);
      return true;
    } catch (error) {
      if (error instanceof UnusableError) return false;
      throw error;
    }
  }

  #use(state: NameState, found: Held): void {
    state.held = found;
    state.tries = NO_TRIES;
    this.#options.changed();
  }

  #kept(name: string): NameState {
    const { folder, clock, log } = this.#options;
    const now = clock.now();
    const state: NameState = { name, held: undefined, tries: plausible(folder.tries(name), now), hurries: true };
    const certificate = folder.certificate(name);
    if (certificate === undefined) return state;
    try {
      state.held = held(certificate, name, now);
    } catch (error) {
      if (!(error instanceof UnusableError)) throw error;
      log.warn("kept certificate not used", { name, reason: `it ${error.message}` });
    }
    return state;
  }

  // Other replicas

  /** Takes what is newer from the other replicas, and gives them what they do not have. */
  async #followOthers(): Promise<void> {
    const { shared } = this.#options;
    if (shared === undefined) return;
    try {
      const version = await shared.version();
      if (version !== undefined && version === this.#seen) return;
      for (const state of [...this.#states.values()]) await this.#followShared(state);
      this.#seen = version;
    } catch (error) {
      if (!(error instanceof SharedAwayError)) throw error;
      this.#seen = null;
    }
  }

  /** Returns whether the name needs no order any more. */
  async #followShared(state: NameState): Promise<boolean> {
    const { shared, folder, clock } = this.#options;
    const found = await shared?.certificate(state.name);
    const before = state.held;
    if (found !== undefined && this.#adopt(state, found)) {
      if (state.held !== before) await folder.keepCertificate(state.name, found);
    } else if (state.held !== undefined) {
      await shared?.keepCertificate(state.name, state.held.certificate);
    }
    return state.held !== before && this.#dueAt(state) > clock.now();
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
      if (this.#stopping.signal.aborted) this.#wake();
    });
  }
}

function endOf(held: Held | undefined): string | undefined {
  return held && new Date(held.validity.untilMs).toISOString();
}

async function ifThere(asked: Promise<void> | undefined): Promise<void> {
  try {
    await asked;
  } catch (error) {
    if (!(error instanceof SharedAwayError)) throw error;
  }
}
