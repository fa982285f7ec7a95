/**
 * Keeps the answers to challenges in files. At an upgrade two processes accept clients at one port: an authority that asks
 * for the challenge of one may come to the other.
 */

import { whyNotKept } from "../../state_directory.ts";
import type { SharedChallenges } from "./shared.ts";
import { TOKEN } from "./token.ts";

/** Challenges end sooner. What is older is left from a process that was killed. */
const MOST_AGE_MS = 60 * 60 * 1000;

/** The names of files are tokens, so only those that `TOKEN` allows are looked for. */
export class ChallengeFolder implements SharedChallenges {
  readonly #path: string;

  /** @param state the folder for state; `undefined`: there is none */
  static in(state: string | undefined): ChallengeFolder | undefined {
    const path = state && `${state}/acme/challenges`;
    return path === undefined || whyNotKept(path) !== undefined ? undefined : new ChallengeFolder(path);
  }

  private constructor(path: string) {
    this.#path = path;
  }

  async get(token: string): Promise<string | undefined> {
    if (!TOKEN.test(token)) return undefined;
    try {
      return await Deno.readTextFile(`${this.#path}/${token}`);
    } catch {
      return undefined; // there is no such challenge, or it can't be read, and then nothing else can be said
    }
  }

  /** If it can't be kept, only this process answers. That the folder can't be written to is told where certificates are. */
  async put(token: string, keyAuthorization: string): Promise<void> {
    if (!TOKEN.test(token)) return;
    const temporary = `${this.#path}/${token}.${Deno.pid}.tmp`;
    try {
      await Deno.mkdir(this.#path, { recursive: true, mode: 0o700 });
      await this.#removeOld();
      await Deno.writeTextFile(temporary, keyAuthorization, { mode: 0o600 });
      await Deno.rename(temporary, `${this.#path}/${token}`); // it appears whole
    } catch {
      await Deno.remove(temporary).catch(() => {}); // it does not exist
    }
  }

  async remove(token: string): Promise<void> {
    if (TOKEN.test(token)) await Deno.remove(`${this.#path}/${token}`).catch(() => {}); // it was never kept
  }

  async #removeOld(): Promise<void> {
    for await (const { name } of Deno.readDir(this.#path)) {
      const path = `${this.#path}/${name}`;
      const { mtime } = await Deno.stat(path);
      if (Date.now() - (mtime?.getTime() ?? 0) > MOST_AGE_MS) await Deno.remove(path);
    }
  }
}
