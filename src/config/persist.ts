/** Writes changes of backends and splits into the configuration file. The rest of the file stays as it is. */
import { basename } from "@std/path/basename";
import { dirname } from "@std/path/dirname";
import { ConfigError, messageOf } from "../errors.ts";
import { mustBeRegular } from "../regular_file.ts";
import { afterChange, type FileChange } from "./backend_change.ts";
import { withBackends } from "./backend_text.ts";
import { type FileContext, withoutMark } from "./json_edit.ts";
import { withWeights } from "./split_text.ts";

/**
 * How often a change is made again because somebody wrote the file meanwhile. An editor saves once. If a script writes
 * all the time, the change fails in the end.
 */
const MOST_TRIES = 5;

/**
 * Replaces a file's content as a whole: a reader sees the old text or the new text, and so does the next start after a
 * power failure. The file keeps its mode. If it is a symbolic link, its target is replaced. Returns `false` and changes
 * nothing if the file no longer contains the text `before`. Throws a `ConfigError` that says why, and changes nothing,
 * if it can't replace it. Call it for the same file one after the other: of two calls at a time, chance decides which
 * one wins.
 */
export async function writeAtomically(path: string, before: string, text: string): Promise<boolean> {
  try {
    const target = await Deno.realPath(path);
    const { mode } = await Deno.stat(target);
    // A rename is atomic only within one file system. Within one directory, that is sure.
    const options = { dir: dirname(target), prefix: `.${basename(target)}.`, suffix: ".tmp" };
    const temporary = await Deno.makeTempFile(options);
    try {
      await writeDurably(temporary, text, mode);
      // Writing took a while, and the operator may have saved the file meanwhile.
      const isCurrent = await readExactly(path) === before;
      await (isCurrent ? Deno.rename(temporary, target) : Deno.remove(temporary));
      return isCurrent;
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      throw error;
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([`${path}: can't be written: ${reasonOf(error)}`], { cause: error });
  }
}

/** What a `ConfigPersistence` works with. */
export interface PersistenceOptions extends FileContext {
  readonly path: string;
  readonly wrote?: (before: string, after: string) => void;
}

/** Writes changes to a configuration file. */
export class ConfigPersistence {
  readonly #path: string;
  readonly #context: FileContext;
  readonly #wrote: (before: string, after: string) => void;
  #last: Promise<void> = Promise.resolve();

  /** @param options `wrote` gets the text of the file before and after. Both are equal if nothing had to be done. */
  constructor({ path, env, source = path, wrote = () => {} }: PersistenceOptions) {
    this.#path = path;
    this.#context = { env, source };
    this.#wrote = wrote;
  }

  /**
   * Makes a change in what the file contains when it is this change's turn. So edits by an operator that were
   * not reloaded yet are kept. Changes are made one after the other, in the order of the calls. Rejects with a
   * `ConfigError` when the file can't be read or written. The file then stays as it is, and later changes are still
   * tried.
   */
  save(change: FileChange): Promise<void> {
    const saved = this.#last.then(() => this.#write(change));
    this.#last = saved.catch(() => {});
    return saved;
  }

  async #write(change: FileChange): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const text = await readExactly(this.#path);
      const edited = this.#edited(text, change);
      if (edited !== text && !await writeAtomically(this.#path, text, edited)) continue;
      this.#wrote(withoutMark(text), withoutMark(edited));
      return;
    }
    throw new ConfigError([`${this.#path}: can't be written: another program keeps changing it`]);
  }

  #edited(text: string, change: FileChange): string {
    if (change.kind === "split") return withWeights(text, change, this.#context);
    const { pool, change: ofList } = change;
    return withBackends(text, (written) => afterChange(written, ofList), { ...this.#context, pool });
  }
}

async function writeDurably(path: string, text: string, mode: number | null): Promise<void> {
  using file = await Deno.open(path, { write: true });
  // Windows has none.
  if (mode !== null) await Deno.chmod(path, mode & 0o7777);
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
  // Otherwise the rename may reach the disk before the content does. Not `syncData`, which may leave out the mode.
  await file.sync();
}

/**
 * The file's text with its byte order mark. Refuses bytes that are not UTF-8, because they would be written back
 * changed.
 */
async function readExactly(path: string): Promise<string> {
  try {
    mustBeRegular(path);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await Deno.readFile(path));
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : reasonOf(error);
    throw new ConfigError([`${path}: can't be read: ${reason}`], { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return "not permitted";
  return messageOf(error);
}
