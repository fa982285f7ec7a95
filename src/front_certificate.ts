/** The certificate that clients are shown, as long as the process runs: a reload or its age puts another in its place. */

import { X509Certificate } from "node:crypto";
import type { Engine } from "./engines/engine.ts";
import { messageOf } from "./errors.ts";
import type { Clock } from "./health/clock.ts";
import type { Log } from "./log.ts";
import { certificateSource, endsSoon, serverCertificate, type TlsConfig } from "./tls/certificates.ts";
import type { ServerCertificate } from "./tls/server_certificate.ts";

/** What a `FrontCertificate` works with. */
export interface FrontCertificateOptions {
  /** `null`: plain HTTP, so that there is no certificate. */
  readonly tls: TlsConfig | null;
  readonly log: Log;
  readonly clock: Clock;
}

/** How often the certificate's age is looked at. A timer for its whole life would overflow, and miss a sleep. */
const LOOK_MS = 86_400_000;

/** Owns the certificate in use: the one place that hands an engine another. Looks at its age from `watch` to `stop`. */
export class FrontCertificate {
  readonly #log: Log;
  readonly #clock: Clock;
  /** What the certificate in use was read or made by. */
  #tls: TlsConfig | null;
  #current: ServerCertificate | undefined;
  #show: Engine["setCertificate"];
  #cancelLook: (() => void) | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  /**
   * Reads the configured certificate, or makes it.
   *
   * @throws {ConfigError} when its files are of no use
   */
  static async obtain(options: FrontCertificateOptions): Promise<FrontCertificate> {
    const { tls, log, clock } = options;
    const now = new Date(clock.now());
    return new FrontCertificate(options, tls === null ? undefined : await serverCertificate(tls, { log, now }));
  }

  private constructor({ tls, log, clock }: FrontCertificateOptions, current: ServerCertificate | undefined) {
    this.#tls = tls;
    this.#log = log;
    this.#clock = clock;
    this.#current = current;
  }

  /** The certificate in use; `undefined`: plain HTTP. */
  get current(): ServerCertificate | undefined {
    return this.#current;
  }

  /** Keeps the certificate young from now on, if the engine that shows it can change it; else warns in time. */
  watch({ setCertificate }: Pick<Engine, "setCertificate">): void {
    if (this.#current === undefined) return;
    this.#show = setCertificate;
    this.#lookLater();
  }

  /**
   * Gets the certificate that another configuration asks for, files read again. Shows it to nobody yet: the returned
   * function does, and can't fail. It returns whether that takes a restart instead.
   *
   * @throws {ConfigError} when its files are of no use
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

  /** Ends looking; settles when nothing of it is left. */
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
    // A reload or the end of the process may have come before it was made.
    if (this.#tls === tls && !this.#stopped) this.#use(next);
  }
}

function endOf({ cert }: ServerCertificate): string {
  return new Date(new X509Certificate(cert).validTo).toISOString();
}
