/**
 * The configuration of a running process: reads it, reads it again, writes it, and sees whether somebody changed it.
 */

import { resolve } from "@std/path/resolve";
import { ConfigError } from "../errors.ts";
import { readRegularFile } from "../regular_file.ts";
import type { FileChange } from "./backend_change.ts";
import { loadConfig, type Loaded, type LoadOptions } from "./load.ts";
import { ConfigPersistence } from "./persist.ts";
import type { Config } from "./schema.ts";

/** Where the configuration is. */
export interface LiveConfigOptions extends Pick<LoadOptions, "path" | "flags" | "env"> {
  /** The text of standard input, if the configuration comes from there. */
  readonly stdin: string | undefined;
}

/** Knows what was last read from the file or written to it, and so distinguishes others' changes from its own. */
export class LiveConfig {
  /** As it was at the start. */
  readonly started: Loaded;
  /** The file's absolute path. `null`: there is no file to write to. */
  readonly file: string | null;
  readonly #options: LiveConfigOptions;
  readonly #directory = Deno.cwd();
  readonly #persistence: ConfigPersistence | undefined;
  #stdin: string | undefined;
  #revision = 0;
  #text: string | undefined;

  /** @throws {ConfigError} with a line for each problem */
  constructor(options: LiveConfigOptions) {
    this.#options = options;
    this.#stdin = options.stdin;
    this.started = this.#load();
    const { path } = this.started;
    this.file = path === null ? null : resolve(this.#directory, path);
    if (path === null || this.file === null) return;
    const wrote = (before: string, after: string) => {
      if (before === this.#text) this.#text = after; // else others have changed it too, which is yet to be read
    };
    this.#persistence = new ConfigPersistence({ path: this.file, source: path, env: options.env, wrote });
  }

  /**
   * Reads the configuration again.
   *
   * @throws {ConfigError} with a line for each problem
   */
  reload(): Config {
    return this.#load().config;
  }

  /** Changes whenever the configuration was read or written. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether the file differs from what was last read or written. */
  changed(): boolean {
    if (this.file === null) return false;
    try {
      return readRegularFile(this.file) !== this.#text;
    } catch {
      return true; // reading it says why
    }
  }

  /** Writes a change to the file, if there is one. Rejects with a `ConfigError` when it can't. */
  async save(change: FileChange): Promise<void> {
    await this.#persistence?.save(change);
    this.#revision++;
  }

  #load(): Loaded {
    this.#revision++;
    return loadConfig({
      ...this.#options,
      readFile: (path) => this.#text = readRegularFile(resolve(this.#directory, path)),
      readStdin: () => {
        const text = this.#stdin;
        if (text === undefined) throw new ConfigError(["standard input: can't be read again"]);
        this.#stdin = undefined;
        return text;
      },
    });
  }
}
