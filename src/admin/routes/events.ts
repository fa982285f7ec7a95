/** The route that streams changes when they happen. */

import { type EventFeed, MAX_STREAMS } from "../event_feed.ts";
import type { AdminContext, Route } from "../guard.ts";
import { AdminError } from "../admin_error.ts";

/** What this route sends. */
export interface EventsSource {
  readonly events: EventFeed;
}

/** Responses of this content type do not end by themselves. */
export const EVENT_STREAM = "text/event-stream";

const HEADERS = { "content-type": EVENT_STREAM, "cache-control": "no-store" };

/** `/events`. */
export function eventRoutes({ events }: EventsSource): readonly Route[] {
  return [{
    path: "/events",
    methods: {
      GET: {
        about: {
          summary: "Every change when it happens, and the status each second; resumable by `Last-Event-ID`",
          answers: [{ status: 200, summary: "Server-sent events, without an end", contentType: EVENT_STREAM }],
          refusals: [503],
        },
        answer: (context) => stream(context, events),
      },
    },
  }];
}

/**
 * Does not use hono's `streamSSE`. That sends `Connection` and `Transfer-Encoding`, which the server must set, and it
 * would need a loop for each client.
 */
function stream({ req }: AdminContext, events: EventFeed): Response {
  if (!events.hasRoom) throw new AdminError(503, `${MAX_STREAMS} event streams are open, which is the limit`);
  const body = req.raw.method === "HEAD" ? null : events.open(req.header("last-event-id"), req.raw.signal);
  return new Response(body, { headers: HEADERS });
}
