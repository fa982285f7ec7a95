/** What replicas share through the store for certificates by ACME. */

import type { Log } from "../log.ts";
import type { Clock } from "../net/clock.ts";
import type { SharedCertificates, SharedChallenges } from "../tls/acme/shared.ts";
import { Sealing } from "./sealing.ts";
import { StoreCertificates } from "./shared_certificates.ts";
import { StoreChallenges } from "./shared_challenges.ts";
import type { Store } from "./store.ts";
import { StoreScripts } from "./store_scripts.ts";

export interface SharingOptions {
  /** `undefined`: the store is away. */
  readonly store: () => Store | undefined;
  /** What the replicas have in common. */
  readonly secret: string;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Sharing {
  readonly challenges: SharedChallenges;
  /** @param directory the URL of the authority's directory */
  readonly certificates: (directory: string) => SharedCertificates;
}

export function shareThrough({ store, secret, log, clock }: SharingOptions): Sharing {
  const [scripts, sealing] = [new StoreScripts(store), new Sealing(secret)];
  return {
    challenges: new StoreChallenges(scripts),
    certificates: (directory) => new StoreCertificates({ directory, scripts, sealing, log, clock }),
  };
}
