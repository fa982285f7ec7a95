/** A certificate that the proxy can show its clients. */

/** A certificate, or a chain that begins with it, and its private key; both in PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What an engine needs beside everything else when clients reach it over HTTPS. */
export interface Securing {
  /** `undefined`: plain HTTP. */
  readonly certificate?: ServerCertificate | undefined;
}
