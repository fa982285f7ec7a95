/** What `roundhouse top` has to show. */

import type { History } from "../../admin/dashboard/history.js";
import type { RouteStatus, Status } from "../../admin/dashboard/status.d.ts";

/** What there is to show. */
export interface View {
  readonly status: Status;
  /** Of the backends of all pools. */
  readonly history: History;
  /** In match order. */
  readonly routes: readonly RouteRow[];
  /** Milliseconds since 1970, on the server's clock. */
  readonly now: number;
  /** Why there is nothing newer; `undefined`: there is not. */
  readonly lost?: string;
}

/** An entry of a route, and its present rate. */
export interface RouteRow extends RouteStatus {
  readonly perSecond: number | null;
  /** Whether its key has other entries, too. */
  readonly isOneOfMany: boolean;
}

/** How much fits on a terminal. */
export interface Size {
  readonly rows: number;
  readonly columns: number;
}
