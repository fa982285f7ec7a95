/** The interface of what certificates come from: files, roundhouse itself, an authority. Each has its own file here. */

import type { ServerCertificates } from "./server_certificate.ts";

/** What certificates can come from. */
export const CERTIFICATE_KINDS = ["files", "self-signed", "acme"] as const;

/** What a certificate is shown as that is not for clients, but for backends. */
export const FOR_BACKENDS = "backend";

/**
 * Where certificates come from, for one setting of `proxy.tls`. A new one holds nothing that has to be closed: the store
 * may drop it when a reload is refused. From `watch` to `stop` it may keep timers and connections.
 */
export interface CertificateSource {
  /** As `GET /status` shows it. */
  readonly kind: (typeof CERTIFICATE_KINDS)[number];
  /**
   * What people have to do before its certificates end, for the log: "a reload reads the files again". `undefined`:
   * nothing. A function of whether the engine can change certificates while it listens.
   */
  remedy(changeable: boolean): string | undefined;
  /**
   * With less than this left of a certificate, the log tells the remedy once a day. Default: two weeks, or a sixth of a
   * short life.
   */
  readonly warningMs?: number;
  /**
   * Why the last attempt to get a newer certificate failed; `undefined`: it did not. The source calls `changed` when this
   * changes.
   */
  readonly error?: string | undefined;
  /**
   * Whether a source in use does all that this one would do. That one then stays in use, and this one is dropped. Makes no
   * certificate.
   */
  sameAs(inUse: CertificateSource): boolean;
  /**
   * Returns its certificates of now, in order. Must not wait for another machine. Called before `watch`, and rejects only
   * if a certificate can't be made.
   */
  obtain(): Promise<ServerCertificates>;
  /**
   * Begins to keep the certificates up to date. Called at most once, when they are in use and the engine can change them.
   *
   * @param changed to be called with all certificates of the source when one or `error` has changed
   */
  watch?(changed: (certificates: ServerCertificates) => void): void;
  /** Ends what `watch` began. Settles when nothing of it is left. `changed` is not called afterwards. */
  stop?(): Promise<void>;
}
