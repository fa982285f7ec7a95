/** Backends from a file. It is watched as the configuration file is, and read anew from time to time all the same. */

import type { FileDiscover } from "../config/discover/file.ts";
import { messageOf } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import { pause } from "../net/pause.ts";
import { readRegularFileWithin } from "../regular_file.ts";
import { Asking } from "./asking.ts";
import { ListReader, MAX_LIST_BYTES } from "./backend_list.ts";
import type { BackendSource, SourceReport } from "./source.ts";
import { watchFile } from "./watch.ts";

/** A file may be missing for a moment while it is replaced. */
const REPLACED_WITHIN_MS = 250;

/** The longest time for reading it. A pipe that takes its place just before it is opened would be waited for. */
const LIMIT_MS = 5000;

export class FileSource implements BackendSource {
  readonly #path: string;
  readonly #refreshMs: number;
  readonly #clock: Clock;
  readonly #reader = new ListReader();

  constructor({ path, refreshMs }: Pick<FileDiscover, "path" | "refreshMs">, { clock }: { readonly clock: Clock }) {
    this.#path = path;
    this.#refreshMs = refreshMs;
    this.#clock = clock;
  }

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    let looked = new AbortController();
    const watch = watchFile(this.#path, () => looked.abort(), this.#clock);
    const end = () => looked.abort();
    stop.addEventListener("abort", end);
    while (!stop.aborted) {
      looked = new AbortController(); // before the file is read, so that a change during that counts
      await this.#look(report, stop);
      await pause(this.#refreshMs, this.#clock, looked.signal);
    }
    stop.removeEventListener("abort", end);
    await watch.close();
  }

  async #look(report: SourceReport, stop: AbortSignal): Promise<void> {
    using asking = new Asking({ clock: this.#clock, limitMs: LIMIT_MS }, stop);
    try {
      const text = await this.#read(asking.signal);
      const backends = this.#reader.read(text);
      if (!stop.aborted) report.found(backends);
    } catch (error) {
      if (!stop.aborted) report.failed(`${this.#path}: ${reasonOf(error)}`);
    }
  }

  async #read(stop: AbortSignal): Promise<string> {
    try {
      return await readRegularFileWithin(this.#path, MAX_LIST_BYTES, stop);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await pause(REPLACED_WITHIN_MS, this.#clock, stop);
      return await readRegularFileWithin(this.#path, MAX_LIST_BYTES, stop);
    }
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return "not permitted";
  return messageOf(error);
}
