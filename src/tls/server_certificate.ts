/** A certificate for the connections of clients. */

/** A certificate, or a chain that begins with it, and its private key; both in PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What an engine needs for HTTPS to clients. */
export interface Securing {
  /** `undefined`: plain HTTP. */
  readonly certificate?: ServerCertificate | undefined;
}
