/** What certificates by ACME need of the rest of the process. It outlives reloads. */

import type { Challenges } from "./challenges.ts";
import type { SharedCertificates } from "./shared.ts";
import type { StateFolder } from "./state_folder.ts";

export interface AcmeContext {
  /** The folder for state. `undefined`: there is none. */
  readonly state: string | undefined;
  readonly challenges: Challenges;
  /** What the replicas share of one authority's certificates. `undefined`: this roundhouse is in no cluster. */
  readonly shared: (directory: string) => SharedCertificates | undefined;
  /** By the URL of the directory: what is kept of each authority that was ever used. */
  readonly folders: Map<string, StateFolder>;
}
