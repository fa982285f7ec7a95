/** The answers of the admin API, for the type checks of the page and of `roundhouse top`. */

import type { BackendView } from "../view.ts";

/** A backend in the object of `GET /status`. */
export type BackendStatus = BackendView;
/** The object of `GET /status`. */
export type Status = ReturnType<typeof import("../routes/status.ts").statusView>;

/** An entry of the array of `GET /routes`. */
export type RouteStatus = ReturnType<typeof import("../routes/routes.ts").routesView>[number];

/** The object of `GET /cluster`. */
export type ClusterStatus = import("../cluster_view.ts").ClusterView;

export type { HistoryView } from "../history.ts";
