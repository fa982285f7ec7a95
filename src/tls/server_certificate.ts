/** What a handshake with a client needs. Plain data, because it goes to workers in messages. */

/** A certificate, or a chain that begins with it, and its private key; both in PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** The certificates of the proxy's port, in order. The first one is for clients that name no host, or an unknown one. */
export type ServerCertificates = readonly [ServerCertificate, ...ServerCertificate[]];

/** A certificate, and the names that clients get it for. */
export interface NamedCertificate extends ServerCertificate {
  readonly names: readonly string[];
}

/** What an engine needs for HTTPS to clients. */
export interface ServerTls {
  /** In order, like `ServerCertificates`. */
  readonly certificates: readonly [NamedCertificate, ...NamedCertificate[]];
  /** `undefined`: clients are not asked for certificates. */
  readonly clients?: ClientAuthorities | undefined;
}

/** Whose certificates clients may show. */
export interface ClientAuthorities {
  /** Certificates in PEM. No other authority is trusted. */
  readonly ca: string;
  /** Whether the handshake fails without a valid certificate. */
  readonly require: boolean;
}

/** Whether the port speaks HTTPS. */
export interface Securing {
  /** `undefined`: plain HTTP. */
  readonly tls?: ServerTls | undefined;
}
