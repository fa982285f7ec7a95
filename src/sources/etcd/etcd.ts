/** Backends from etcd: every key below a prefix holds one. Listed once, then watched. */

import type { EtcdDiscover } from "../../config/discover/etcd.ts";
import { MAX_BACKENDS } from "../../config/backend_limit.ts";
import { LostError } from "../json_lines.ts";
import { pause } from "../../net/pause.ts";
import { jittered } from "../pauses.ts";
import { type HoldSession, keepSessions, type SessionContext, together } from "../sessions.ts";
import { type BackendSource, SourceError, type SourceReport } from "../source.ts";
import { EtcdGateway, type KeyRange } from "./gateway.ts";
import { KeyTable } from "./key_table.ts";

/**
 * How often the server is asked whether the watch has brought everything. Nothing else would show that it has lost its
 * connection, or that the server stands still.
 */
const CHECK_MS = 10_000;
const JITTER = 0.1;

/** Changes that arrive within this time are told together. */
const GATHER_MS = 20;

type EtcdSettings = Pick<EtcdDiscover, "prefix" | "endpoints" | "user" | "password">;

export class EtcdSource implements BackendSource {
  readonly #settings: EtcdSettings;
  readonly #context: SessionContext;

  constructor(settings: EtcdSettings, context: SessionContext) {
    this.#settings = settings;
    this.#context = context;
  }

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    const { prefix, endpoints, user, password } = this.#settings;
    const credentials = user === null || password === null ? null : { user, password };
    const hold: HoldSession = async (endpoint, answered, stop) => {
      using gateway = new EtcdGateway(endpoint, credentials, this.#context.clock);
      using session = new EtcdSession(gateway, prefix, report, this.#context);
      return await session.hold(answered, stop);
    };
    await keepSessions(hold, { ...this.#context, servers: endpoints, report, stop });
  }
}

/** One list and the watch that follows it. */
class EtcdSession implements Disposable {
  readonly #gateway: EtcdGateway;
  readonly #range: KeyRange;
  readonly #table: KeyTable;
  readonly #report: SourceReport;
  readonly #context: SessionContext;
  /** How often the watch has brought anything. */
  #news = 0;
  #cancelTelling: (() => void) | undefined;

  constructor(gateway: EtcdGateway, prefix: string, report: SourceReport, context: SessionContext) {
    this.#gateway = gateway;
    this.#range = rangeOf(prefix);
    this.#table = new KeyTable(prefix);
    this.#report = report;
    this.#context = context;
  }

  async hold(answered: () => void, stop: AbortSignal): Promise<never> {
    await this.#list(stop);
    answered();
    return await together(stop, [(stop) => this.#watch(stop), (stop) => this.#keepChecking(stop)]);
  }

  [Symbol.dispose](): void {
    this.#cancelTelling?.();
  }

  async #list(stop: AbortSignal): Promise<void> {
    const list = await this.#gateway.list(this.#range, MAX_BACKENDS + 1, stop);
    // The watch may have brought later changes meanwhile.
    if (list.revision < this.#table.revision) return;
    this.#table.replace(list);
    this.#tell();
  }

  async #watch(stop: AbortSignal): Promise<never> {
    const watch = this.#gateway.watch(this.#range, this.#table.revision + 1, stop);
    for await (const changes of watch) {
      this.#news++;
      if (changes.length === 0) continue;
      this.#table.apply(changes);
      this.#cancelTelling ??= this.#context.clock.after(GATHER_MS, () => this.#tell());
    }
    throw new LostError("the watch has ended");
  }

  /** @throws {SourceError} when the server does not answer, or the watch does not bring what the server has */
  async #keepChecking(stop: AbortSignal): Promise<never> {
    const { clock, random } = this.#context;
    let newsWhenBehind: number | undefined;
    while (true) {
      await pause(jittered(CHECK_MS, JITTER, random), clock, stop);
      stop.throwIfAborted();
      const { revision } = this.#table;
      const summary = await this.#gateway.summary(this.#range, stop);
      if (summary.revision < revision) throw new LostError("the store has begun again");
      if (this.#table.agreesWith(summary)) {
        newsWhenBehind = undefined;
        this.#tell();
        continue;
      }
      // The watch may bring it this very moment. If it brings nothing until the next check, it is dead.
      if (newsWhenBehind === this.#news) throw new LostError("the watch is silent");
      newsWhenBehind = this.#news;
      await this.#list(stop);
    }
  }

  #tell(): void {
    this.#cancelTelling?.();
    this.#cancelTelling = undefined;
    try {
      this.#report.found(this.#table.backends());
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      this.#report.failed(error.message); // the next change may mend it: the watch goes on
    }
  }
}

/** All keys that begin with the prefix. Its bytes are UTF-8, so the last one can be counted up. */
function rangeOf(prefix: string): KeyRange {
  const bytes = new TextEncoder().encode(prefix);
  const end = bytes.with(-1, (bytes.at(-1) ?? 0) + 1);
  return { key: bytes.toBase64(), end: end.toBase64() };
}
