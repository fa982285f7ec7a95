/** The certificates in use while the process runs. A reload replaces them, and so do their sources. */

import type { Fields, Log } from "../log.ts";
import { type CertificateSource, FOR_BACKENDS } from "./certificate_source.ts";
import type { Config } from "../config/schema.ts";
import { checkCertificateFiles } from "./check.ts";
import { readClientAuthorities } from "./client_authorities.ts";
import { Daily } from "./daily.ts";
import { endsSoon, type Leaf, leafOf } from "./leaf.ts";
import type { ClientAuthorities, ServerCertificate, ServerTls } from "./server_certificate.ts";
import { type BackendsInUse, ShownToBackends } from "./shown_to_backends.ts";
import { certificateSources, type SourceContext, type TlsConfig } from "./sources.ts";

/** What a `CertificateStore` works with. */
export interface CertificateStoreOptions extends SourceContext {
  /** `null`: plain HTTP, without a certificate. */
  readonly tls: TlsConfig | null;
}

/** Makes the engine show certificates to clients that connect from now on. */
type ShowCertificates = (tls: ServerTls) => void;

/** A certificate that clients get, or that backends are shown. */
export interface CertificateState extends Leaf {
  readonly source: CertificateSource["kind"] | typeof FOR_BACKENDS;
  /** Why the last attempt to get a newer one failed; `undefined`: it did not. */
  readonly error: string | undefined;
  /** Whether it is time to do something about its end. */
  readonly endsSoon: boolean;
}

/** Is told what happens to certificates. */
export interface CertificateListener {
  /** Clients get another certificate. */
  changed(certificate: Leaf): void;
  /** It is time to do something about the end of a certificate. Told once a day. */
  expires(certificate: Leaf, remedy: string): void;
  /** A source could not get a newer certificate. */
  failed(source: CertificateSource["kind"], error: string): void;
}

/** A certificate in use. */
interface InUse extends ServerCertificate, Leaf {}

/** A source in use, and the certificates that it gave last. */
interface Held {
  readonly source: CertificateSource;
  certificates: readonly InUse[];
  error: string | undefined;
}

/**
 * Owns the certificates in use and their sources, and alone gives an engine other certificates. The sources keep them up
 * to date from `watch` to `stop`.
 */
export class CertificateStore {
  readonly #context: SourceContext;
  readonly #log: Log;
  #held: readonly Held[];
  #clients: ClientAuthorities | undefined;
  /** By their end. `undefined`: to be sorted again. */
  #sorted: readonly { readonly source: CertificateSource; readonly leaf: Leaf }[] | undefined;
  #show: ShowCertificates | undefined;
  #listener: CertificateListener | undefined;
  #daily: Daily | undefined;
  #behind = new ShownToBackends(() => []);
  #isStopped = false;
  /** Sources that a reload has replaced, and that have not ended yet. */
  readonly #ending = new Set<Promise<void>>();

  /**
   * Reads the configured certificates, or makes them.
   *
   * @throws {ConfigError} when files can't be used
   */
  static async obtain({ tls, ...context }: CertificateStoreOptions): Promise<CertificateStore> {
    if (tls === null) return new CertificateStore(context, [], undefined);
    const sources = await certificateSources(tls, context);
    const clients = readClientAuthorities(tls);
    return new CertificateStore(context, await Promise.all(sources.map(holdNew)), clients);
  }

  private constructor(context: SourceContext, held: readonly Held[], clients: ClientAuthorities | undefined) {
    this.#context = context;
    this.#log = context.log;
    this.#held = held;
    this.#clients = clients;
  }

  /**
   * Checks all files of certificates that another configuration names.
   *
   * @throws {ConfigError} with a line for each one that can't be used
   */
  check(config: Config): void {
    checkCertificateFiles(config, new Date(this.#context.clock.now()), this.#context.good);
  }

  /** What an engine needs to show the certificates in use; `undefined`: plain HTTP. */
  get current(): ServerTls | undefined {
    const shown = this.#held.flatMap(({ certificates }) =>
      certificates.map(({ cert, key, names }) => ({ cert, key, names }))
    );
    const [first, ...others] = shown;
    return first && { certificates: [first, ...others], clients: this.#clients };
  }

  /** Looks after the certificates that these are shown, too. */
  follow(backends: BackendsInUse): void {
    this.#behind = new ShownToBackends(backends);
  }

  /**
   * The certificates that clients get, and those that backends are shown; the one that ends first is the first.
   *
   * @param most how many are told at most
   */
  states(most = Infinity): CertificateState[] {
    const now = new Date(this.#context.clock.now());
    this.#sorted ??= this.#held.flatMap(({ source, certificates }) => certificates.map((leaf) => ({ source, leaf })))
      .sort((one, other) => byEnd(one.leaf, other.leaf));
    const front = this.#sorted.slice(0, most).map(({ source, leaf: { names, begins, expires } }) => ({
      names,
      begins,
      expires,
      source: source.kind,
      error: source.error,
      endsSoon: endsSoon({ names, begins, expires }, now, source.warningMs),
    }));
    const behind = this.#behind.leaves().map((leaf) => {
      return { ...leaf, source: FOR_BACKENDS, error: undefined, endsSoon: endsSoon(leaf, now) } as const;
    });
    return behind.length === 0 ? front : [...front, ...behind].sort(byEnd).slice(0, most);
  }

  /**
   * Begins to keep the certificates up to date. Without `show`, the engine can't show others, and the store only warns
   * in time.
   */
  watch(show: ShowCertificates | undefined, listener: CertificateListener): void {
    this.#listener = listener;
    this.#show = this.#held.length === 0 ? undefined : show;
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
    const use = await this.#prepare(tls);
    return () => {
      this.#behind.reread();
      return use();
    };
  }

  async #prepare(tls: TlsConfig | null): Promise<() => boolean> {
    if (tls === null) return () => this.#held.length > 0;
    const sources = await certificateSources(tls, this.#context);
    const clients = readClientAuthorities(tls);
    const kept = sources.map((source) => this.#held.find((held) => source.sameAs(held.source)));
    const differs = sources.length !== this.#held.length || kept.some((held, index) => held !== this.#held[index]) ||
      clients?.ca !== this.#clients?.ca || clients?.require !== this.#clients?.require;
    if (this.#show === undefined || !differs) return () => differs;
    const held = await Promise.all(sources.map((source, index) => kept[index] ?? holdNew(source)));
    return () => {
      this.#clients = clients;
      this.#replace(held);
      return false;
    };
  }

  /** Stops all sources. Settles when nothing of them is left. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#held.forEach((held) => this.#end(held));
    await Promise.all([this.#daily?.stop(), ...this.#ending]);
  }

  #replace(held: readonly Held[]): void {
    const before = this.#held;
    this.#held = held;
    before.filter((one) => !held.includes(one)).forEach((one) => this.#end(one));
    const begun = held.filter((one) => !before.includes(one));
    begun.forEach((one) => this.#watch(one));
    const shown = new Set(before.flatMap(({ certificates }) => certificates.map(({ cert }) => cert)));
    this.#changed(begun.flatMap(({ certificates }) => certificates).filter(({ cert }) => !shown.has(cert)));
  }

  #watch(held: Held): void {
    if (this.#isStopped) return; // a reload has ended after the stop
    held.source.watch?.((certificates) => {
      const before = new Set(held.certificates.map(({ cert }) => cert));
      held.certificates = certificates.map(inUse);
      const begun = held.certificates.filter(({ cert }) => !before.has(cert));
      if (begun.length > 0) this.#changed(begun);
      const { kind, error } = held.source;
      if (error !== undefined && error !== held.error) {
        this.#log.warn("certificate failed", { source: kind, error });
        this.#listener?.failed(kind, error);
      }
      held.error = error;
    });
  }

  #end({ source }: Held): void {
    if (source.stop === undefined) return;
    const ended: Promise<void> = source.stop().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #changed(certificates: readonly InUse[]): void {
    const { current } = this;
    this.#sorted = undefined;
    if (current === undefined) return;
    this.#show?.(current);
    for (const certificate of certificates) {
      this.#log.info("certificate changed", fieldsOf(certificate));
      this.#listener?.changed(certificate);
    }
  }

  /** Says what has to be done about certificates that end soon. */
  #warn(): void {
    const now = new Date(this.#context.clock.now());
    for (const { source, certificates } of this.#held) {
      const remedy = source.remedy(this.#show !== undefined);
      if (remedy === undefined) continue;
      for (const certificate of certificates) {
        if (!endsSoon(certificate, now, source.warningMs)) continue;
        this.#expires(certificate, remedy);
      }
    }
    const behind = this.#behind.leaves().filter((leaf) => endsSoon(leaf, now));
    behind.forEach((leaf) => this.#expires(leaf, "a reload reads the files again"));
  }

  #expires(leaf: Leaf, remedy: string): void {
    this.#log.warn("certificate expires", { ...fieldsOf(leaf), remedy });
    this.#listener?.expires(leaf, remedy);
  }
}

function byEnd(one: Leaf, other: Leaf): number {
  return one.expires.getTime() - other.expires.getTime();
}

function fieldsOf({ names, expires }: Leaf): Fields {
  return { names: names.join(","), expires: expires.toISOString() };
}

async function holdNew(source: CertificateSource): Promise<Held> {
  return { source, certificates: (await source.obtain()).map(inUse), error: source.error };
}

function inUse({ cert, key }: ServerCertificate): InUse {
  return { cert, key, ...leafOf(cert) };
}
