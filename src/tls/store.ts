/** The certificates in use while the process runs. A reload replaces them, and so do their sources. */

import type { Log } from "../log.ts";
import type { CertificateSource } from "./certificate_source.ts";
import { Daily } from "./daily.ts";
import { type Leaf, leafOf } from "./leaf.ts";
import type { ServerCertificate, ServerTls } from "./server_certificate.ts";
import { certificateSources, type SourceContext, type TlsConfig } from "./sources.ts";

/** What a `CertificateStore` works with. */
export interface CertificateStoreOptions extends SourceContext {
  /** `null`: plain HTTP, without a certificate. */
  readonly tls: TlsConfig | null;
}

/** Makes the engine show certificates to clients that connect from now on. */
type ShowCertificates = (tls: ServerTls) => void;

/** A certificate in use. */
interface InUse extends ServerCertificate, Leaf {}

/** A source in use, and the certificates that it gave last. */
interface Held {
  readonly source: CertificateSource;
  certificates: readonly InUse[];
}

const DAY_MS = 86_400_000;

/**
 * Owns the certificates in use and their sources, and alone gives an engine other certificates. The sources keep them up
 * to date from `watch` to `stop`.
 */
export class CertificateStore {
  readonly #context: SourceContext;
  readonly #log: Log;
  #held: readonly Held[];
  #show: ShowCertificates | undefined;
  #daily: Daily | undefined;
  /** Sources that a reload has replaced, and that have not ended yet. */
  readonly #ending = new Set<Promise<void>>();

  /**
   * Reads the configured certificates, or makes them.
   *
   * @throws {ConfigError} when files can't be used
   */
  static async obtain({ tls, ...context }: CertificateStoreOptions): Promise<CertificateStore> {
    const sources = tls === null ? [] : certificateSources(tls, context);
    return new CertificateStore(context, await Promise.all(sources.map(holdNew)));
  }

  private constructor(context: SourceContext, held: readonly Held[]) {
    this.#context = context;
    this.#log = context.log;
    this.#held = held;
  }

  /** What an engine needs to show the certificates in use; `undefined`: plain HTTP. */
  get current(): ServerTls | undefined {
    const shown = this.#held.flatMap(({ certificates }) =>
      certificates.map(({ cert, key, names }) => ({ cert, key, names }))
    );
    const [first, ...others] = shown;
    return first && { certificates: [first, ...others] };
  }

  /**
   * Begins to keep the certificates up to date. Without `show`, the engine can't show others, and the store only warns
   * in time.
   */
  watch(show: ShowCertificates | undefined): void {
    if (this.#held.length === 0) return;
    this.#show = show;
    if (show !== undefined) this.#held.forEach((held) => this.#watch(held));
    this.#daily = new Daily(this.#context, () => this.#warn());
  }

  /**
   * Gets the certificates for another configuration, and reads its files again. Does not show them yet: the returned
   * function does, and can't fail. That function returns whether the change takes a restart instead.
   *
   * @throws {ConfigError} when files can't be used
   */
  async prepare(tls: TlsConfig | null): Promise<() => boolean> {
    if (tls === null) return () => this.#held.length > 0;
    const sources = certificateSources(tls, this.#context);
    const kept = sources.map((source) => this.#held.find((held) => source.sameAs(held.source)));
    const differs = sources.length !== this.#held.length || kept.some((held, index) => held !== this.#held[index]);
    if (this.#show === undefined || !differs) return () => differs;
    const held = await Promise.all(sources.map((source, index) => kept[index] ?? holdNew(source)));
    return () => {
      this.#replace(held);
      return false;
    };
  }

  /** Stops all sources. Settles when nothing of them is left. */
  async stop(): Promise<void> {
    this.#held.forEach((held) => this.#end(held));
    await Promise.all([this.#daily?.stop(), ...this.#ending]);
  }

  #replace(held: readonly Held[]): void {
    const before = this.#held;
    this.#held = held;
    before.filter((one) => !held.includes(one)).forEach((one) => this.#end(one));
    const begun = held.filter((one) => !before.includes(one));
    begun.forEach((one) => this.#watch(one));
    this.#changed(begun.flatMap(({ certificates }) => certificates));
  }

  #watch(held: Held): void {
    held.source.watch?.((certificates) => {
      const before = new Set(held.certificates.map(({ cert }) => cert));
      held.certificates = certificates.map(inUse);
      const begun = held.certificates.filter(({ cert }) => !before.has(cert));
      if (begun.length > 0) this.#changed(begun);
    });
  }

  #end({ source }: Held): void {
    if (source.stop === undefined) return;
    const ended: Promise<void> = source.stop().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #changed(certificates: readonly InUse[]): void {
    const { current } = this;
    if (current === undefined) return;
    this.#show?.(current);
    for (const { names, expires } of certificates) {
      this.#log.info("certificate changed", { names: names.join(","), expires: expires.toISOString() });
    }
  }

  /** Says what has to be done about certificates that end soon. */
  #warn(): void {
    const now = this.#context.clock.now();
    for (const { source, certificates } of this.#held) {
      for (const { names, expires } of certificates) {
        if (expires.getTime() - now >= source.warningDays * DAY_MS) continue;
        const remedy = source.remedy(this.#show !== undefined);
        this.#log.warn("certificate expires", { names: names.join(","), expires: expires.toISOString(), remedy });
      }
    }
  }
}

async function holdNew(source: CertificateSource): Promise<Held> {
  return { source, certificates: (await source.obtain()).map(inUse) };
}

function inUse({ cert, key }: ServerCertificate): InUse {
  return { cert, key, ...leafOf(cert) };
}
