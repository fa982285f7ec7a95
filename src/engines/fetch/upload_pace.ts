/** What keeps uploads from blocking the event loop. */

import { Pace } from "../../net/pace.ts";
import { LongTurns } from "./long_turns.ts";

/** Shared by all uploads of an isolate. */
export class UploadPace implements Disposable {
  readonly relays: Pace;
  readonly longTurns: LongTurns = new LongTurns();

  static async start(): Promise<UploadPace> {
    return new UploadPace(await Pace.start());
  }

  constructor(relays: Pace) {
    this.relays = relays;
  }

  /** Ends all waits. */
  [Symbol.dispose](): void {
    this.relays[Symbol.dispose]();
    this.longTurns[Symbol.dispose]();
  }
}
