/** The HTTP clients of health checks. One takes about 150 KiB, so backends with the same certificates share one. */

import type { Backend } from "../pool/backend.ts";
import { clientTls } from "../tls/backend_files.ts";

/** A client that is lent. */
export interface LentClient {
  readonly client: Deno.HttpClient;
  /** Gives it back. No check may be in flight with it. */
  giveBack(): void;
}

interface SharedClient {
  readonly client: Deno.HttpClient;
  users: number;
}

/** Lends a client for each set of files, and closes it when the last user has given it back. */
export class CheckClients {
  /** By the text of their files. */
  readonly #shared = new Map<string, SharedClient>();

  lend(tls: Backend["tls"]): LentClient {
    const options = clientTls(tls);
    const key = JSON.stringify(options);
    let shared = this.#shared.get(key);
    if (shared === undefined) {
      // No connection is kept: each check shows that a new one can be made. And `fetch` would silently repeat a check if
      // a kept connection had died.
      const client = Deno.createHttpClient({ http2: false, allowHost: true, poolMaxIdlePerHost: 0, ...options });
      this.#shared.set(key, shared = { client, users: 0 });
    }
    shared.users++;
    return { client: shared.client, giveBack: () => this.#giveBack(key) };
  }

  #giveBack(key: string): void {
    const shared = this.#shared.get(key);
    if (shared === undefined || --shared.users > 0) return;
    this.#shared.delete(key);
    shared.client.close();
  }
}
