/** What all exchanges of one engine `fetch` share. */

import type { Forwarder } from "../../proxy/forwarder.ts";
import type { Copies } from "../copies.ts";
import type { Uploads } from "../uploads.ts";
import type { BackendClients } from "./backend_clients.ts";
import type { Bridge } from "./bridge.ts";
import type { Deadlines } from "./deadline.ts";
import type { LargeAnswers } from "./large_answers.ts";
import type { UploadPace } from "./upload_pace.ts";

export interface FetchContext {
  readonly deadlines: Deadlines;
  readonly clients: BackendClients;
  /** The pace of all uploads. */
  readonly pace: UploadPace;
  /** Whether the runtime compresses responses. */
  readonly runtimeCompresses: boolean;
  readonly largeAnswers: LargeAnswers;
  /** The open WebSockets. */
  readonly bridges: Set<Bridge>;
  readonly forwarder: Forwarder;
  /** Request bodies that are still arriving. */
  readonly uploads: Uploads;
  readonly copies: Copies;
}

/** Methods that `fetch` may resend by itself without harm, because they change nothing. */
export const RESENDABLE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
