/** What the replicas of a cluster share of their certificates. */

import type { ServerCertificate } from "../server_certificate.ts";
import type { AccountKeeper } from "./account.ts";

/** Every method rejects with a `SharedAwayError` when the replicas can't be reached. */
export interface SharedCertificates extends AccountKeeper {
  /** Makes other replicas wait, until it is disposed of or, if this replica dies, for a while. `undefined`: one of them has done so. */
  lock(): Promise<AsyncDisposable | undefined>;
  /** Changes with every certificate that a replica keeps. `undefined`: none has kept any. */
  version(): Promise<string | undefined>;
  certificate(name: string): Promise<ServerCertificate | undefined>;
  keepCertificate(name: string, certificate: ServerCertificate): Promise<void>;
}

/** The answers to the challenges that any replica has to meet. Rejects like `SharedCertificates`. */
export interface SharedChallenges {
  get(token: string): Promise<string | undefined>;
  put(token: string, keyAuthorization: string): Promise<void>;
  remove(token: string): Promise<void>;
}

/** The other replicas can't be reached. */
export class SharedAwayError extends Error {
  override readonly name = "SharedAwayError";
}
