/** Certificates that an ACME authority makes, each for one name. */

import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import { SharedAccount } from "./acme/accounts.ts";
import { Authority } from "./acme/authority.ts";
import type { AcmeContext } from "./acme/context.ts";
import { StateFolder } from "./acme/state_folder.ts";
import { Renewals } from "./acme/renewals.ts";
import type { CertificateSource } from "./certificate_source.ts";
import { selfSignedCertificate } from "./self_signed.ts";
import type { ServerCertificate, ServerCertificates } from "./server_certificate.ts";

/** The settings `proxy.tls.acme`, with the text of the file `ca`. */
export interface AcmeSettings {
  readonly names: readonly string[];
  readonly email: string | null;
  readonly directory: string;
  readonly ca: string | undefined;
  readonly eab: { readonly kid: string; readonly hmacKey: string } | null;
}

export interface AcmeSourceContext {
  readonly acme: AcmeContext;
  readonly clock: Clock;
  readonly log: Log;
}

/** What `error` says before the first answer of the authority. */
const NOT_YET = "there is no certificate yet for some names";

/** See `proxy.tls.acme`. */
export class AcmeSource implements CertificateSource {
  readonly kind = "acme";
  readonly #settings: AcmeSettings;
  readonly #context: AcmeSourceContext;
  readonly #renewals: Renewals;
  /** What clients get for names without a certificate. `undefined`: there were none. */
  #substitute: ServerCertificate | undefined;
  #changed: (certificates: ServerCertificates) => void = () => {};

  constructor(settings: AcmeSettings, { acme, clock, log }: AcmeSourceContext) {
    const { names, directory, email, eab, ca } = settings;
    this.#settings = settings;
    this.#context = { acme, clock, log };
    const [folder, shared, { challenges }] = [folderOf(acme, directory, log), acme.shared(directory), acme];
    const accounts = shared === undefined ? folder : new SharedAccount(folder, shared);
    this.#renewals = new Renewals({
      names,
      folder,
      shared,
      authority: new Authority({ directory, email, eab, ca, accounts, challenges, clock }),
      log,
      clock,
      changed: () => this.#changed(this.#certificates),
    });
  }

  remedy(): string | undefined {
    return this.error === undefined ? undefined : `mend what keeps it from being renewed: ${this.error}`;
  }

  get error(): string | undefined {
    const failing = this.#renewals.certificates.filter(({ error }) => error !== null);
    const [first] = failing;
    if (first === undefined) return this.#isMissingSome ? NOT_YET : undefined;
    const others = failing.length === 1 ? "" : `, and ${failing.length - 1} more like this`;
    return `${first.name}: ${first.error}${others}`;
  }

  /** One that fails is replaced: a reload makes it try again. */
  sameAs(inUse: CertificateSource): boolean {
    if (!(inUse instanceof AcmeSource) || JSON.stringify(inUse.#settings) !== JSON.stringify(this.#settings)) {
      return false;
    }
    return inUse.#renewals.certificates.every(({ error }) => error === null);
  }

  async obtain(): Promise<ServerCertificates> {
    const { acme: { state: directory }, clock, log } = this.#context;
    const names = this.#renewals.certificates.flatMap(({ name, certificate }) =>
      certificate === undefined ? [name] : []
    );
    const now = new Date(clock.now());
    if (names.length > 0) this.#substitute = await selfSignedCertificate({ names, directory, now, log });
    return this.#certificates;
  }

  watch(changed: (certificates: ServerCertificates) => void): void {
    this.#changed = changed;
    this.#renewals.start();
  }

  async stop(): Promise<void> {
    this.#changed = () => {};
    await this.#renewals.stop();
  }

  get #isMissingSome(): boolean {
    return this.#renewals.certificates.some(({ certificate }) => certificate === undefined);
  }

  /** A name of the substitute belongs to the certificate before it, as soon as there is one. */
  get #certificates(): ServerCertificates {
    const there = this.#renewals.certificates.flatMap(({ certificate }) => certificate ?? []);
    const [first, ...others] = this.#isMissingSome && this.#substitute !== undefined
      ? [...there, this.#substitute]
      : there;
    if (first === undefined) throw new Error("there is no certificate: obtain() was not called");
    return [first, ...others];
  }
}

/** The same one for the same authority: without a folder on disk it remembers what a reload needs. */
function folderOf({ folders, state }: AcmeContext, directory: string, log: Log): StateFolder {
  const folder = folders.get(directory) ?? new StateFolder({ state, directory, log });
  folders.set(directory, folder);
  return folder;
}
