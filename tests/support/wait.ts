/** Waits for a condition with a deadline, or on a clock that the test moves. */

import { type Clock, systemClock } from "../../src/net/clock.ts";

/** How a `waitFor` ends when the condition never holds. */
export interface WaitOptions {
  /** Default 20,000: only a failing test waits so long, and on a busy machine a step may take many seconds. */
  readonly timeoutMs?: number;
  /** What is waited for, as the failure names it. */
  readonly what: string;
}

/** Resolves once `condition` holds; fails, naming what was waited for, when it does not in time. */
export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 20_000, what }: WaitOptions,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Lets everything run that is ready: settled promises, and what follows from them. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Like `settle`, where nothing waits for files or the network. It takes microseconds, a timer of 0 ms milliseconds. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** The real time, but with far longer limits, so that they do not pass on a busy machine. Pauses are as they are. */
export const patientClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => systemClock.after(ms < 5000 ? ms : Math.min(ms * 20, 1e9), callback),
};

/** Pauses are a tenth of what they should be. Limits, which are of five seconds or more, are as with `patientClock`. */
export const hurriedClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => ms < 5000 ? systemClock.after(ms / 10, callback) : patientClock.after(ms, callback),
};

interface Alarm {
  readonly at: number;
  readonly callback: () => void;
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  /** Since the clock was made. */
  #elapsed = 0;
  #origin = Date.UTC(2026, 0, 1);
  readonly #alarms = new Set<Alarm>();
  readonly #settle: () => Promise<void>;

  /** @param settled lets everything run that follows from a timer */
  constructor(settled = settle) {
    this.#settle = settled;
  }

  /** Timers that are still to fire. */
  get pending(): number {
    return this.#alarms.size;
  }

  now(): number {
    return this.#origin + this.#elapsed;
  }

  after(ms: number, callback: () => void): () => void {
    const alarm = { at: this.#elapsed + ms, callback };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Moves the time forward. Timers fire in order, each at its own time, with everything that follows from it. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await this.#settle();
    for (let alarm = this.#nextUntil(end); alarm !== undefined; alarm = this.#nextUntil(end)) {
      this.#alarms.delete(alarm);
      this.#elapsed = Math.max(this.#elapsed, alarm.at);
      alarm.callback();
      await this.#settle();
    }
    this.#elapsed = end;
  }

  /** Sets the time of day, as an administrator would. Timers are not affected. */
  jump(ms: number): void {
    this.#origin += ms;
  }

  #nextUntil(end: number): Alarm | undefined {
    let next: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.at <= end && (next === undefined || alarm.at < next.at)) next = alarm;
    }
    return next;
  }
}
