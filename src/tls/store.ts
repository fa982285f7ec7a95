/** The certificate in use while the process runs. A reload replaces it, and so does its age. */

import { X509Certificate } from "node:crypto";
import { messageOf } from "../errors.ts";
import type { Clock } from "../net/clock.ts";
import type { Log } from "../log.ts";
import { certificateSource, endsSoon, serverCertificate, type TlsConfig } from "./certificates.ts";
import type { ServerCertificate } from "./server_certificate.ts";

/** What a `CertificateStore` works with. */
export interface CertificateStoreOptions {
  /** `null`: plain HTTP, without a certificate. */
  readonly tls: TlsConfig | null;
  readonly log: Log;
  readonly clock: Clock;
}

/** Makes the engine show a certificate to clients that connect from now on. */
type ShowCertificate = (certificate: ServerCertificate) => void;

/** How often the certificate's age is checked. A timer for its whole life would overflow, and would miss a sleep. */
const LOOK_MS = 86_400_000;

/** Owns the certificate in use, and alone gives an engine another one. Checks its age from `watch` to `stop`. */
export class CertificateStore {
  readonly #log: Log;
  readonly #clock: Clock;
  /** The configuration that the certificate in use comes from. */
  #tls: TlsConfig | null;
  #current: ServerCertificate | undefined;
  #show: ShowCertificate | undefined;
  #cancelLook: (() => void) | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  /**
   * Reads the configured certificate, or makes it.
   *
   * @throws {ConfigError} when its files can't be used
   */
  static async obtain(options: CertificateStoreOptions): Promise<CertificateStore> {
    const { tls, log, clock } = options;
    const now = new Date(clock.now());
    return new CertificateStore(options, tls === null ? undefined : await serverCertificate(tls, { log, now }));
  }

  private constructor({ tls, log, clock }: CertificateStoreOptions, current: ServerCertificate | undefined) {
    this.#tls = tls;
    this.#log = log;
    this.#clock = clock;
    this.#current = current;
  }

  /** The certificate in use; `undefined`: plain HTTP. */
  get current(): ServerCertificate | undefined {
    return this.#current;
  }

  /**
   * Begins to check the certificate's age. Without `show`, the engine can't show another one, and the store only warns
   * in time.
   */
  watch(show: ShowCertificate | undefined): void {
    if (this.#current === undefined) return;
    this.#show = show;
    this.#lookLater();
  }

  /**
   * Gets the certificate for another configuration, and reads its files again. Does not show it yet: the returned
   * function does, and can't fail. That function returns whether the change takes a restart instead.
   *
   * @throws {ConfigError} when its files can't be used
   */
  async prepare(tls: TlsConfig | null): Promise<() => boolean> {
    if (tls === null) return () => this.#current !== undefined;
    const source = certificateSource(tls, new Date(this.#clock.now()));
    const differs = source.differsFrom(this.#current);
    if (this.#show === undefined) return () => differs;
    const next = differs ? await source.obtain(this.#log) : undefined;
    return () => {
      this.#tls = tls;
      if (next !== undefined) this.#use(next);
      return false;
    };
  }

  /** Stops checking the age. Settles when nothing of it is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelLook?.();
    await this.#looking;
  }

  #use(next: ServerCertificate): void {
    this.#show?.(next);
    this.#current = next;
    this.#log.info("certificate changed", { expires: endOf(next) });
  }

  #lookLater(): void {
    this.#cancelLook = this.#clock.after(LOOK_MS, () => {
      this.#looking = this.#look().catch((error) => this.#log.error("certificate", { error: messageOf(error) }))
        .finally(() => !this.#stopped && this.#lookLater());
    });
  }

  async #look(): Promise<void> {
    const tls = this.#tls;
    const now = new Date(this.#clock.now());
    if (tls === null || this.#current === undefined || !endsSoon(tls, this.#current, now)) return;
    if (tls.kind === "files" || this.#show === undefined) {
      const remedy = tls.kind === "self-signed"
        ? "a restart makes another one"
        : `${this.#show === undefined ? "a restart" : "a reload"} reads the files again`;
      this.#log.warn("certificate expires", { expires: endOf(this.#current), remedy });
      return;
    }
    const next = await serverCertificate(tls, { log: this.#log, now });
    // A reload, or the end of the process, may have come first.
    if (this.#tls === tls && !this.#stopped) this.#use(next);
  }
}

function endOf({ cert }: ServerCertificate): string {
  return new Date(new X509Certificate(cert).validTo).toISOString();
}
