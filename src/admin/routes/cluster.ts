/** The routes for the replicas that share a store. */

import * as z from "zod";
import type { ClusterStatus } from "../../cluster/views.ts";
import type { Log } from "../../log.ts";
import { AdminError } from "../admin_error.ts";
import { clusterAnswer } from "../answers.ts";
import { type ClusterView, clusterView } from "../cluster_view.ts";
import { jsonAnswer } from "../description.ts";
import { NO_FIELDS, readFields } from "../fields.ts";
import type { AdminContext, Route } from "../guard.ts";
import { answerJson } from "../view.ts";
import { answered } from "./change_errors.ts";

/** The cluster, as the admin API shows and changes it. */
export interface AdminCluster {
  status(): ClusterStatus;
  /** Drops the changes that the store holds. */
  clear(): Promise<void>;
}

/** What these routes show and change. */
export interface ClusterTarget {
  /** `undefined`: there is none. */
  readonly cluster: AdminCluster | undefined;
  readonly log: Log;
}

const cleared = z.object({ dropped: z.int().min(0) }).meta({ title: "ClusterCleared" });

/** `/cluster` and `/cluster/changes`. */
export function clusterRoutes(target: ClusterTarget): readonly Route[] {
  return [
    {
      path: "/cluster",
      methods: {
        GET: {
          about: {
            summary: "The replicas, what each thinks of each backend, and the changes that they share",
            answers: [jsonAnswer(clusterAnswer, "The cluster; null without one")],
          },
          answer: () => answerJson(viewOf(target)),
        },
      },
    },
    {
      path: "/cluster/changes",
      methods: {
        DELETE: {
          about: {
            summary: "Drops all changes that the replicas share: their lists are those of the files again",
            answers: [jsonAnswer(cleared, "How many there were")],
            refusals: [400, 404, 503],
          },
          answer: (context) => clear(context, target),
        },
      },
    },
  ];
}

function viewOf({ cluster }: ClusterTarget): ClusterView | null {
  return cluster === undefined ? null : clusterView(cluster.status());
}

async function clear(context: AdminContext, { cluster, log }: ClusterTarget): Promise<Response> {
  readFields(NO_FIELDS, context.get("body") ?? {}, "body");
  if (cluster === undefined) throw new AdminError(404, "this roundhouse is in no cluster");
  const { entries } = cluster.status();
  await answered(cluster.clear(), log);
  log.info("admin change", {
    client: context.env.peer,
    action: "clear",
    changes: entries.length,
  });
  return answerJson({ dropped: entries.length } satisfies z.output<typeof cleared>);
}
