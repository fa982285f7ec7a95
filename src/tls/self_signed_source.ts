/** A certificate that roundhouse makes itself, and makes again in time. */

import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import { stateDirectory } from "../state_directory.ts";
import type { CertificateSource } from "./certificate_source.ts";
import { Daily } from "./daily.ts";
import { RENEWAL_MS, selfSignedCertificate, serves } from "./self_signed.ts";
import type { ServerCertificate, ServerCertificates } from "./server_certificate.ts";

/** See `proxy.tls.selfSigned`. */
export class SelfSignedSource implements CertificateSource {
  readonly kind = "self-signed";
  readonly warningMs = RENEWAL_MS;
  readonly #names: readonly string[];
  readonly #clock: Clock;
  readonly #log: Log;
  #current: ServerCertificate | undefined;
  #daily: Daily | undefined;

  constructor(names: readonly string[], { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#names = names;
    this.#clock = clock;
    this.#log = log;
  }

  remedy(changeable: boolean): string | undefined {
    return changeable ? undefined : "a restart makes another one";
  }

  sameAs(inUse: CertificateSource): boolean {
    return inUse instanceof SelfSignedSource && inUse.#current !== undefined &&
      serves(inUse.#current, this.#names, this.#now);
  }

  async obtain(): Promise<ServerCertificates> {
    const directory = stateDirectory((name) => Deno.env.get(name));
    const options = { names: this.#names, directory, now: this.#now, log: this.#log };
    return [this.#current = await selfSignedCertificate(options)];
  }

  watch(changed: (certificates: ServerCertificates) => void): void {
    const daily = this.#daily = new Daily({ clock: this.#clock, log: this.#log }, async () => {
      if (this.#current !== undefined && serves(this.#current, this.#names, this.#now)) return;
      const next = await this.obtain();
      if (!daily.stopped) changed(next); // a reload, or the end of the process, may have come first
    });
  }

  async stop(): Promise<void> {
    await this.#daily?.stop();
  }

  get #now(): Date {
    return new Date(this.#clock.now());
  }
}
