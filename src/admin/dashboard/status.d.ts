/** The object of `GET /status`, for the page's type checks. */

import type { BackendView } from "../view.ts";

export type BackendStatus = BackendView;
export type Status = ReturnType<typeof import("../routes/status.ts").statusView>;
