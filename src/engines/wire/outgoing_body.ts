/** What an attempt needs of a request's body: one that arrives meanwhile, or one that was collected. */

import type { Buffer } from "node:buffer";
import type { BackendConnection } from "./backend/backend_connection.ts";

export interface OutgoingBody {
  /** Whether all of it was taken. */
  readonly done: boolean;
  /** Copies what is there to `into`, from `at` on, as far as it fits. Returns where the copy ends. */
  takeReady(into: Buffer, at: number): number;
  /** Sends the rest to the backend. Never rejects. */
  run(connection: BackendConnection): Promise<void>;
}
